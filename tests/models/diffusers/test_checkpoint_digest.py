"""The digest of a checkpoint from kept records, and a record that turns out to be wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import wait_until

from daguerre.errors import SettingsError
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.storage.file_digests import FileDigests

from .conftest import MODEL, REASON

pytest.importorskip("diffusers", reason=REASON)


def load(folder: Path, path: Path) -> DiffusersModel:
    """Loads the checkpoint with the records of `path`, as in a new process a while later."""
    records = FileDigests(path, min_bytes=1, clock_ns=lambda: time.time_ns() + 10**10)
    loaded = LoadedCheckpoint(PipelineConfig(folder, executor="eager"), file_digests=records)
    model = DiffusersModel(MODEL, loaded, ServingOptions())
    model.load()
    return model


def test_digest_is_the_same_from_records(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Records change neither the digest nor the fingerprints, and hold each file."""
    folder, path = folder_of("stable-diffusion"), tmp_path / "digests.json"
    plain = LoadedCheckpoint(PipelineConfig(folder, executor="eager"))
    plain.load()
    digests = {load(folder, path).info.weights_sha256 for _ in range(2)}
    assert digests == {plain.checkpoint.sha256()} == {plain.digest.sha256}
    files = json.loads(path.read_text())["files"]
    assert set(files) == {str(file.resolve()) for file in plain.checkpoint.files()}


def test_wrong_record_is_found(
    folder_of: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Weights that differ from their record are not served any more; the next start has the right
    digest."""
    folder, path = folder_of("stable-diffusion"), tmp_path / "digests.json"
    right = load(folder, path).info.weights_sha256
    content = json.loads(path.read_text())
    file = next(name for name in content["files"] if name.endswith(".safetensors"))
    content["files"][file]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    model = load(folder, path)
    assert model.info.weights_sha256 != right
    wait_until(lambda: bool(model.fault))
    assert model.fault == "its weights have changed on disk"
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert file in record.message and "daguerre models reload" in record.message
    model.unload()
    words = f"have changed since the server started, by {file}; run: daguerre models reload"
    with pytest.raises(SettingsError, match=words):
        model.load()
    again = load(folder, path)
    assert again.info.weights_sha256 == right and not again.fault
