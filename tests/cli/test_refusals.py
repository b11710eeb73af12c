"""Every key of the catalog that takes a file, with every kind of wrong file.

The error is one line that names the key and the file, and says what to do. The files have headers
and no data, and nothing is loaded.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from models.diffusers.test_recognition import UNET as CHECKPOINT
from models.diffusers.test_recognition import gguf
from models.test_catalog import checkpoint, flux

from daguerre.models import catalog
from daguerre.models.diffusers.adapters import lora
from daguerre.models.diffusers.model import DiffusersModel

Shapes = Mapping[str, tuple[int, ...]]
DOWNLOAD, RECOGNIZED = "; download it again", "by its tensor "


def safetensors(shapes: Shapes) -> bytes:
    """A file whose tensors have no data."""
    entries = {
        name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header


CUT = b'\x48\0\0\0\0\0\0\0{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}         '
LORA = {"lora_unet_mid.lora_down.weight": (4, 8), "lora_unet_mid.lora_up.weight": (8, 4)}
# Name of a file -> its content, and the words for it.
DAMAGED: Mapping[str, tuple[bytes, str]] = {
    "empty.safetensors": (b"", f"is empty{DOWNLOAD}"),
    "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\n", "run: git lfs pull"),
    "page.safetensors": (b"<!DOCTYPE html>", f"an HTML page, not the file itself{DOWNLOAD}"),
    "garbage.safetensors": (b"\xff" * 99, f"is damaged{DOWNLOAD}"),
    "head.safetensors": (safetensors(LORA)[:20], f"is damaged{DOWNLOAD}"),
    "truncated.safetensors": (CUT, f"bytes instead of 88{DOWNLOAD}"),
}
FOREIGN: Mapping[str, tuple[bytes, str]] = {
    "pickle.ckpt": (b"\x80\x02}q", ""),
    "picture.safetensors": (b"\x89PNG", ""),
    "network.onnx": (b"\x08\x07", ""),
    "m.safetensors.part": (b"\x08", ""),
    "llm.gguf": (gguf("llama"), ""),
}
SWAPPED: Mapping[str, tuple[bytes, str]] = {
    "lora.safetensors": (safetensors(LORA), f"a LoRA, {RECOGNIZED}lora_unet_mid.lora_down.weight"),
    "toy.safetensors": (
        safetensors({"emb_params": (1, 768)}),
        f"a textual inversion, {RECOGNIZED}emb_params",
    ),
    "vae.safetensors": (
        safetensors({"decoder.conv_in.weight": (512, 4, 3, 3), "decoder.conv_in.bias": (512,)}),
        f"a VAE alone, {RECOGNIZED}decoder.conv_in.weight",
    ),
    "text.safetensors": (
        safetensors({"text_model.x": (1,), "text_model.y": (1,)}),
        f"a text encoder alone, {RECOGNIZED}text_model.x",
    ),
    "control.safetensors": (
        safetensors({"control_model.x": (1,), "control_model.y": (1,)}),
        f"a ControlNet or an adapter of one, {RECOGNIZED}control_model.x",
    ),
    "sd.safetensors": (safetensors(CHECKPOINT), f"a checkpoint, {RECOGNIZED}"),
}
CONTENTS = {**DAMAGED, **FOREIGN, **SWAPPED}
OTHERS = ("none.safetensors", "link.safetensors", "pipe.safetensors", "directory.safetensors")
# Key -> the arguments with a path, and the files that it takes, or that only a load refuses.
KEYS: Mapping[str, tuple[Callable[[str], list[str]], set[str]]] = {
    "path": (lambda path: [path], {"sd.safetensors"}),
    "base": (lambda path: ["sd.safetensors", "--base", path], set()),
    "loras": (lambda path: ["sd", "--lora", path], {"lora.safetensors"}),
    "embeddings": (
        lambda path: ["sd", "--set", f'embeddings=[{{path = "{path}", token = "<t>"}}]'],
        {"toy.safetensors"},
    ),
    "vae": (lambda path: ["sd", "--set", f"vae={path}"], {"vae.safetensors"}),
    "unet": (lambda path: ["sd", "--set", f"unet={path}"], {"sd.safetensors"}),
    "transformer": (lambda path: ["flux", "--set", f"transformer={path}"], {"sd.safetensors"}),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalog, "_EXTRA", ())
    monkeypatch.setattr(lora, "LIBRARY", "json")
    monkeypatch.setattr(DiffusersModel, "check", lambda model: None)
    checkpoint(tmp_path / "sd")
    (tmp_path / "sd/text_encoder/config.json").write_text('{"hidden_size": 768}')
    flux(tmp_path / "flux")
    for name, (content, _) in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.safetensors").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "directory.safetensors").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("key", "name"),
    [(key, name) for key in KEYS for name in (*CONTENTS, *OTHERS) if name not in KEYS[key][1]],
)
def test_wrong_file(
    key: str, name: str, files: Path, home: Path, fails: Callable[..., str]
) -> None:
    arguments, _ = KEYS[key]
    message = fails("models", "add", *arguments(name), "--id", "x")
    assert str(files / name) in message or f"'{name}'" in message
    assert "; " in message and "Error" not in message
    assert key == "path" or f"{key}: " in message or f"{key} " in message, message
    if key != "base":  # of which only directories are read
        assert CONTENTS.get(name, (b"", ""))[1] in message
    assert not (home / catalog.FILE_NAME).exists()
