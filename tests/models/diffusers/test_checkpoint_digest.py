"""The digest of a checkpoint from kept records, and a record that turns out to be wrong."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.checkpoint_digest import CheckpointDigest
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


def test_each_file_that_changes(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The error names the file, whether it was written or removed, of every form."""
    from . import lora_files, original_layout, tiny
    from .test_textual_inversions import vectors, write

    folder = shutil.copytree(folder_of("stable-diffusion"), tmp_path / "sd")
    state = lora_files.kohya("lora_unet", {"mid": lora_files.pair((8, 8))})
    lora = Lora(lora_files.write(tmp_path / "ink.safetensors", state))
    embedding = write(tmp_path / "toy.safetensors", emb_params=vectors(1))
    vae = tmp_path / "vae.safetensors"
    original_layout.write(vae, original_layout.vae(tiny.vae(), ""))
    parts: Any = {"loras": (lora,), "embeddings": (embedding,), "components": (("vae", vae),)}
    checkpoint = PipelineConfig(folder, **parts).read_checkpoint()
    files = list(checkpoint.files())
    assert {lora.path, embedding.path, vae, folder / "model_index.json"} < {*files}
    for file in files:
        digest, content = CheckpointDigest(checkpoint), file.read_bytes()
        digest.update()
        file.write_bytes(content + b" ")
        words = f"have changed since the server started, by {file}; run: daguerre models reload"
        with pytest.raises(SettingsError, match=words):
            digest.update()
        file.unlink()
        with pytest.raises(SettingsError, match=str(file)):
            digest.update()
        file.write_bytes(content)
