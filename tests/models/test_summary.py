"""The facts about a model before it is loaded, and whether it fits into memory."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from daguerre import factory, memory
from daguerre.cli.model_table import log_models, print_models
from daguerre.config import Settings
from daguerre.models import catalog
from daguerre.models.diffusers import devices, quantization
from daguerre.models.diffusers.caches import Cache
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.models.summary import ModelSummary, summarize_checkpoint
from daguerre.params import ModelInfo

from .test_catalog import checkpoint, flux, write

INFO = ModelInfo("xl", weights_sha256="", created=0)
GB = 10**9


@pytest.fixture(autouse=True)
def _no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints here are not loaded."""
    monkeypatch.setattr(catalog, "_EXTRA", ())


def test_models_of_a_catalog(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model, a checkpoint, and one that cannot be served each have a row."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 7 * GB)
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    folder = checkpoint(settings.data_dir() / "sd")
    tables = ['[models.box]\nsource = "embedded"\n']
    for name in ("sd", "none"):
        tables.append(f'[models.{name}]\nsource = "diffusers"\npath = "{name}"\n')
    box, sd, none = factory.summarize_catalog(write(settings, "".join(tables)))
    assert (box.family, box.form, box.dtype) == ("daguerre flat 5", "bundled", "auto")
    assert box.num_bytes > 10 << 20 and box.needed_bytes > 100 << 20
    assert (sd.family, sd.form) == ("Stable Diffusion 1.x, 2.x", "directory")
    assert (sd.dtype, sd.device, sd.needed_bytes) == ("float32", "cpu", 2 << 30)
    assert sd.num_bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert sd.free_bytes == 7 * GB and sd.shortage == ""
    assert none.fault.startswith("cannot be served: ") and none.form == ""


def test_checkpoint_on_the_command_line(settings: Settings) -> None:
    """A summary needs no catalog file."""
    folder = checkpoint(settings.data_dir() / "sd")
    named = catalog.of_checkpoints([str(folder)], settings.data_dir())
    (summary,) = factory.summarize_catalog(settings, named)
    assert summary.info.id == "sd" and summary.fault == ""


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (9 * GB, ""),
        (5 * GB, 'needs 8.0 GB of memory, and 5.0 GB of cuda:0 are free; it fits with dtype = "x"'),
        (GB, "and 1.0 GB of cuda:0 are free; free some memory"),
        (None, ""),
    ],
)
def test_shortage(free: int | None, expected: str) -> None:
    """It names what would fit, with its memory."""
    summary = ModelSummary(
        INFO,
        device="cuda:0",
        needed_bytes=8 * GB,
        free_bytes=free,
        alternatives={'dtype = "x"': 4 * GB, "other": 6 * GB},
    )
    assert expected in summary.shortage and bool(expected) == bool(summary.shortage)


def test_smaller_types(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, 8-bit weights save no memory while the model loads, so they are no advice."""
    folder = checkpoint(settings.data_dir() / "sd")
    weights = b'{"a":{"dtype":"F32","shape":[1000000,2000],"data_offsets":[0,0]}}'
    (folder / "unet" / "model.safetensors").write_bytes(
        len(weights).to_bytes(8, "little") + weights
    )
    monkeypatch.setattr(memory, "free_bytes", lambda: 7 * GB)
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    named = catalog.of_checkpoints([str(folder)], settings.data_dir())
    (summary,) = factory.summarize_catalog(settings, named)
    assert summary.shortage == (
        "it needs 10.1 GB of memory, and 7.0 GB of cpu are free; it fits with"
        ' dtype = "bfloat16" (6.1 GB) in the catalog'
    )


def test_estimates_read_headers_once(settings: Settings) -> None:
    """Another type of numbers needs no second look at the files."""
    folder = checkpoint(settings.data_dir() / "sd")
    loaded = LoadedCheckpoint(PipelineConfig(folder, device="cpu"))
    needed = loaded.num_bytes
    for file in loaded.checkpoint.weights:
        file.unlink()
    assert loaded.estimate_bytes(dtype="bfloat16") <= needed


def test_smaller_on_a_gpu(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """8-bit weights and offloading are advice there."""
    folder = checkpoint(settings.data_dir() / "sd")
    weights = b'{"a":{"dtype":"BF16","shape":[1000000,2000],"data_offsets":[0,0]}}'
    for name in ("unet", "text_encoder"):
        file = folder / name / "model.safetensors"
        file.write_bytes(len(weights).to_bytes(8, "little") + weights)
    monkeypatch.setattr(memory, "free_gpu_bytes", lambda device: 9 * GB)
    table = '[models.sd]\nsource = "diffusers"\npath = "sd"\ndevice = "cuda"\n'
    (summary,) = factory.summarize_catalog(write(settings, table))
    assert summary.shortage == (
        "it needs 10.1 GB of memory, and 9.0 GB of cuda:0 are free; it fits with"
        ' quantization = "int8-weight-only" (8.1 GB) or offload = "model" (6.1 GB) in the catalog'
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"dtype", "quantization", "offload"}),
        ({"executor": "compile"}, {"dtype"}),
        ({"tf32": True}, {"quantization", "offload"}),
        ({"offload": "group"}, {"dtype", "offload"}),
        ({"quantization": "int8-dynamic"}, {"dtype", "quantization"}),
        ({"cache": Cache("first-block")}, {"dtype", "quantization"}),
        ({"device": "cpu", "executor": "openvino"}, {"dtype"}),
    ],
    ids=str,
)
def test_advice_that_the_catalog_accepts(
    keys: dict[str, Any], expected: set[str], settings: Settings
) -> None:
    """What would fit can be added to the other keys of the model."""
    folder = settings.data_dir() / "flux"
    flux(folder)
    config = PipelineConfig(folder, **{"device": "cuda", "dtype": "float32", **keys})
    model = DiffusersModel("flux", LoadedCheckpoint(config), ServingOptions())
    found = summarize_checkpoint(model).alternatives
    assert {key.partition(" ")[0] for key in found} == expected


def test_missing_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose extra is not installed has its facts, and what to install."""
    checkpoint(settings.data_dir() / "sd")
    monkeypatch.setattr(quantization, "CALIBRATION_LIBRARY", "no_such_nncf")
    table = '[models.sd]\nsource = "diffusers"\npath = "sd"\nquantization = "int8"\n'
    (summary,) = factory.summarize_catalog(write(settings, table))
    assert summary.dtype == "float32, int8"
    assert summary.fault.startswith("cannot be served: models with quantization need no_such_nncf")


def test_table(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Printed and logged: a row for each model, and what keeps one from being served."""
    rows = [
        ModelSummary(INFO, "SDXL", "single file", 6_940_000_000, "float32", "cpu", 15 * GB, GB),
        ModelSummary(INFO, fault="cannot be served: it is a LoRA"),
    ]
    print_models(rows, indent="  ", err=True)
    printed = capsys.readouterr()
    header, first, second, *problems = printed.err.splitlines()
    assert printed.out == "" and header.split()[:2] == ["MODEL", "FAMILY"]
    assert first.split()[-4:] == ["15.00", "GB", "1.00", "GB"] and second.split()[1:] == ["-"] * 7
    assert problems == [
        "  xl: it needs 15.0 GB of memory, and 1.0 GB of cpu are free; free some memory",
        "  xl: cannot be served: it is a LoRA",
    ]
    with caplog.at_level(logging.INFO):
        log_models(rows)
    assert "model=xl, family=SDXL, form=single file, disk=6.94 GB" in caplog.messages[0]
    assert [record.levelname for record in caplog.records] == ["INFO"] * 2 + ["WARNING"] * 2


def test_free_memory_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is that of CUDA_VISIBLE_DEVICES; without an answer, its memory is unknown."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\nfor last; do :; done\n[ "$last" = GPU-7 ] && echo 2048\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7")
    assert memory.free_gpu_bytes("cuda:1") == 2 << 30
    assert memory.free_gpu_bytes("cuda") is None
    program.unlink()
    assert memory.free_gpu_bytes("cuda:1") is None
