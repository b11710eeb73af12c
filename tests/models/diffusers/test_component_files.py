"""Checkpoints with damaged or missing files: each error names the file and says what to do.

The tests need no extra.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import (
    checkpoint,
    checkpoint_reader,
    component_files,
    quantization,
    replacement_reader,
)

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167534\n"
MACOS = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x80\xff"
DEEP = b"[" * 100_000
HEADER = b'{"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}'
PART = "unet/model-00001-of-00002.safetensors"
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of one small tensor per model."""
    folder = tmp_path / "sd"
    for name in INDEX.keys() - {"_class_name"}:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    for name in ("unet", "vae", "text_encoder", "safety_checker"):
        (folder / name / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def rename(name: str, other: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / other)


def put_index(index: object) -> Callable[[Path], object]:
    """Replaces the UNet's weights by an index of parts."""

    def damage(folder: Path) -> None:
        (folder / "unet" / "model.safetensors").unlink()
        (folder / "unet" / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / PART).write_bytes(WEIGHTS)

    return damage


def put_shards(*names: str) -> Callable[[Path], object]:
    """Replaces the UNet's weights by an index of two parts, of which `names` exist."""

    def damage(folder: Path) -> None:
        unet = folder / "unet"
        (unet / "model.safetensors").unlink()
        parts = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        index = {"weight_map": {f"weight.{part}": part for part in parts}}
        (unet / "model.safetensors.index.json").write_text(json.dumps(index))
        for name in names:
            (unet / name).write_bytes(WEIGHTS)

    return damage


def link(folder: Path) -> None:
    (folder / "unet/model.safetensors").unlink()
    (folder / "unet/model.safetensors").symlink_to("../../blobs/0123")


def store_quantized(**config: object) -> Callable[[Path], object]:
    return put("unet/config.json", json.dumps({"quantization_config": config}).encode())


@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (put("unet/model.safetensors", b""), "unet/model.safetensors", "is empty"),
        (put("unet/model.safetensors", POINTER), "unet/model.safetensors", "run: git lfs pull"),
        (put("tokenizer/merges.txt", POINTER), "tokenizer/merges.txt", "run: git lfs pull"),
        (put("vae/model.safetensors", b"<!DOCTYPE html>"), "vae/model.safetensors", "HTML page"),
        (
            put("unet/model.safetensors", WEIGHTS[:-4]),
            "unet/model.safetensors",
            f"has {len(WEIGHTS) - 4} bytes instead of {len(WEIGHTS)}; download it again",
        ),
        (put("unet/model.safetensors", WEIGHTS[:20]), "unet/model.safetensors", "is damaged"),
        (put("unet/model.safetensors", b"\xff" * 99), "unet/model.safetensors", "is damaged"),
        (put("unet/model.safetensors", b"\xff"), "unet/model.safetensors", "is damaged"),
        (
            put("unet/model.safetensors", struct.pack("<Q", len(DEEP)) + DEEP),
            "unet/model.safetensors",
            "is damaged",
        ),
        (link, "unet/model.safetensors", "is a link to ../../blobs/0123, which is missing"),
        (
            put("model_index.json", b"\xef\xbb\xbf{}"),
            "model_index.json",
            "begins with a byte-order mark",
        ),
        (put("model_index.json", b"\xff\xfe{}"), "model_index.json", "is not JSON"),
        (put("model_index.json", DEEP), "model_index.json", "is not JSON"),
        (put("unet/config.json", DEEP), "unet/config.json", "is not JSON"),
        (put("unet/config.json", b"\x80"), "unet/config.json", "is not JSON"),
        (
            put("model_index.json", b'{"_class_name": ' + b"[" * 900 + b"]" * 900 + b"}"),
            "model_index.json",
            "the pipeline is [[[[[[[...]]]]]]]; supported: StableDiffusionPipeline",
        ),
        (
            rename("safety_checker/model.safetensors", "safety_checker/pytorch_model.bin"),
            "safety_checker",
            "has pytorch_model.bin, a pickle, which can run code when it is loaded; if you trust"
            " it, convert the checkpoint: python -c 'from diffusers import DiffusionPipeline as P;",
        ),
        (
            rename("unet/model.safetensors", "unet/model.non_ema.safetensors"),
            "unet",
            "has model.non_ema.safetensors, a variant that is not loaded; the variants fp32, fp16,"
            " bf16 are, and files without one; rename the file",
        ),
        (
            rename("vae/model.safetensors", "model.safetensors"),
            "vae",
            "has no *.safetensors; it has config.json; download it again",
        ),
        (rename("unet/model.safetensors", PART), "unet", "but no *.safetensors.index.json"),
        (put_index({}), "unet/model.safetensors.index.json", "has no weight_map"),
        (
            put_shards(Path(PART).name),
            "unet/model.safetensors.index.json",
            "names model-00002-of-00002.safetensors, which is missing; download it again",
        ),
        (
            put("scheduler/scheduler_config.json", b'{"num_train_timesteps": 1000000000000}'),
            "scheduler/scheduler_config.json",
            "num_train_timesteps is 1000000000000; it must be at most 100000; download the file",
        ),
        (
            put(
                "model_index.json",
                json.dumps({**INDEX, "scheduler": ["diffusers", "DPMSolverSDEScheduler"]}).encode(),
            ),
            "scheduler/scheduler_config.json",
            "the noise of DPMSolverSDEScheduler does not depend on the request's seed; use DPM",
        ),
    ],
)
def test_damaged_file(
    folder: Path, damage: Callable[[Path], object], file: str, words: str
) -> None:
    """The error is one line that begins with the file."""
    checkpoint.read(folder)
    damage(folder)
    with pytest.raises(SettingsError) as caught:
        checkpoint.read(folder)
    message = caught.value.message
    assert message.startswith(f"{folder / file}") and words in message, message
    assert "\n" not in message and len(message) < 800


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"quant_method": "quanto"},
            "quantized by quanto, which is not installed; run: pip install optimum-quanto",
        ),
        ({"load_in_4bit": True}, "run: pip install bitsandbytes"),  # by an old version
    ],
)
def test_package_of_quantized_weights(
    config: dict[str, object], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and the package that its weights need."""
    store_quantized(**config)(folder)
    monkeypatch.setattr(quantization, "_is_installed", lambda module: False)
    with pytest.raises(SettingsError) as caught:
        checkpoint.read(folder)
    message = caught.value.message
    assert message.startswith(f"{folder / 'unet/config.json'}") and words in message


def test_one_open_for_each_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is checked and read in one go: on a network's disk each open takes a round trip."""
    opened, open_path = [], Path.open

    def record(file: Path, *args: Any, **options: Any) -> Any:
        opened.append(file)
        return open_path(file, *args, **options)

    monkeypatch.setattr(Path, "open", record)
    config, weights = folder / "unet/config.json", folder / "unet/model.safetensors"
    component_files.read_json(config)
    component_files.read_header(weights)
    component_files.check_files(folder / "unet")
    assert opened == [config, weights, config, weights]


def test_hidden_files_are_ignored(folder: Path) -> None:
    """macOS writes a file such as `._config.json` beside each file on a foreign disk."""
    before = checkpoint.read(folder)
    for file in [*folder.rglob("*.*")]:
        file.with_name(f"._{file.name}").write_bytes(MACOS)
    after = checkpoint.read(folder)
    assert after == before and after.sha256() == before.sha256()


def test_no_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the path once, and says what to do."""
    own = checkpoint.read(folder)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    advice = "cannot be read: Permission denied; give this user the permission to read it"
    with pytest.raises(SettingsError) as caught:
        checkpoint_reader.read(folder, None, {})
    assert caught.value.message == f"{folder / 'unet'} {advice}"
    (folder / "vae/config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(SettingsError) as caught:
        replacement_reader.replace_components(own, {"vae": folder / "vae"})
    assert caught.value.message == f"vae is {folder / 'vae'}; {folder / 'vae'} {advice}"


def test_path_of_something_else(folder: Path) -> None:
    """The error says what the path is instead, and which path to use."""
    top = folder.parent
    (top / "model.ckpt").write_bytes(b"")
    (top / "singles").mkdir()
    (top / "singles" / "model.safetensors").write_bytes(WEIGHTS)
    snapshot = top / "models--maker--sd" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    (top / "empty").mkdir()
    (top / "pickles").mkdir()
    (top / "pickles" / "model.ckpt").write_bytes(b"PK")
    for name, words in {
        "model.ckpt": "is a file; it must be a directory in diffusers format",
        "singles": "has no model_index.json; it has model.safetensors; use the path of a file",
        "models--maker--sd": f"it is a hub's cache; use a snapshot: {snapshot}",
        "sd/unet": f"it is a component of {folder}; use that path",
        "missing": "does not exist; it must be a directory in diffusers format, or a .safetensors",
        "pickles": "it has model.ckpt, which cannot be loaded; get a .safetensors file",
        "empty": "has no model_index.json; it is empty; a download may have failed",
    }.items():
        with pytest.raises(SettingsError) as caught:
            checkpoint.read(top / name)
        message = caught.value.message
        assert message.startswith(str(top / name)) and words in message


def test_weights_in_parts(folder: Path) -> None:
    """Weights in several files that an index names are accepted."""
    put_shards(*(f"model-0000{number}-of-00002.safetensors" for number in (1, 2)))(folder)
    weights = [file.name for file in checkpoint.read(folder).weights]
    assert sum(name.endswith("of-00002.safetensors") for name in weights) == 2


def test_index_beside_the_whole_file(folder: Path) -> None:
    """transformers ignores the index then, so missing parts do not matter."""
    put_shards()(folder)
    (folder / "unet" / "model.safetensors").write_bytes(WEIGHTS)
    assert checkpoint.read(folder)


WHOLE = "model{}.safetensors"
PARTS = ("model{}-00001-of-00002.safetensors", "model{}-00002-of-00002.safetensors")
OLD_PARTS = ("model-00001-of-00002{}.safetensors", "model-00002-of-00002{}.safetensors")
INDEX_NAME = "model.safetensors.index{}.json"
OLD_INDEX_NAME = "model{}.safetensors.index.json"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([WHOLE], [WHOLE]),
        ([INDEX_NAME, *PARTS], [*PARTS, INDEX_NAME]),
        ([INDEX_NAME, *OLD_PARTS], [*OLD_PARTS, INDEX_NAME]),
        ([OLD_INDEX_NAME, *PARTS], [*PARTS, OLD_INDEX_NAME]),
    ],
)
def test_variant_that_is_loaded(names: list[str], chosen: list[str]) -> None:
    """Weights without a variant come first, then float32, float16 and bfloat16; never others."""

    def of(variant: str, names: list[str]) -> list[str]:
        return [name.format(variant and f".{variant}") for name in names]

    others = ["config.json", ".hidden.json", "pytorch_model.bin", "README.md"]
    there = [*others, *of("non_ema", names), *of("ema", names)]
    assert component_files.select_files(there) == ["config.json"]
    for variant in ("bf16", "fp16", "fp32", ""):
        there += of(variant, names)
        expected = sorted(["config.json", *of(variant, chosen)])
        assert component_files.select_files(reversed(there)) == expected


def test_index_of_a_variant(folder: Path) -> None:
    """The files of another variant may be missing; those of the variant that is loaded may not."""
    index = {"weight_map": {"a": "model.fp16-00001-of-00002.safetensors"}}
    put("unet/model.safetensors.index.fp16.json", json.dumps(index).encode())(folder)
    assert checkpoint.read(folder)
    (folder / "unet/model.safetensors").rename(
        folder / "unet/model.fp16-00002-of-00002.safetensors"
    )
    with pytest.raises(SettingsError, match=r"index\.fp16\.json names model\.fp16-00001-of-00002"):
        checkpoint.read(folder)


def test_only_the_index_of_the_plain_weights(folder: Path) -> None:
    """A download of one variant may include it."""
    put_shards()(folder)
    (folder / "unet/model.fp16.safetensors").write_bytes(WEIGHTS)
    assert folder / "unet/model.fp16.safetensors" in checkpoint.read(folder).weights
