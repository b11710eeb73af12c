"""Names the format of a file other than safetensors. Loads no torch."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from daguerre.models.diffusers.component_files import SHARD, WEIGHTS

_HEAD_BYTES = 16
_JSON_START = 8  # of a safetensors file, after the length of its header
_PICKLE = "which can run code when it is loaded"
# Start of a file -> what it is.
_STARTS: Mapping[bytes, str] = {
    b"\x80": f"a pickle, {_PICKLE}",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x1f\x8b": "an archive; unpack it",
    b"7z\xbc\xaf": "an archive; unpack it",
    b"Rar!": "an archive; unpack it",
    b"<?xml": "an XML file, such as a network of OpenVINO",
}
# The same by the end of the name.
_SUFFIXES: Mapping[str, str] = {
    ".onnx": "an ONNX network",
    ".tar": "an archive; unpack it",
    ".engine": "an engine of TensorRT",
    ".plan": "an engine of TensorRT",
    ".mlmodel": "a model of Core ML",
    ".npz": "a file of numpy",
    ".part": "an unfinished download; download it again",
    ".aria2": "an unfinished download; download it again",
    ".crdownload": "an unfinished download; download it again",
    ".incomplete": "an unfinished download; download it again",
    ".index.json": "the index of a model in several files",
}
_DENOISERS = ("flux", "sd1", "sdxl", "sd3", "aura", "hidream", "lumina2", "qwen_image")
_VIDEOS = ("hyvid", "wan", "ltxv", "cosmos", "mochi")
_GGUF_KEY = b"general.architecture"


def describe_format(file: Path) -> str:
    """What a file is instead of a safetensors file; empty if it may be one."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    if head.startswith(b"GGUF"):
        return _describe_gguf(file)
    if head[_JSON_START:][:1] != b"{":  # else the length before it may begin like any format
        if head.startswith(b"PK"):
            return _describe_zip(file)
        for start, what in _STARTS.items():
            if head.startswith(start):
                return what
    if SHARD.search(file.name):
        return "one part of a model in several files; use their directory"
    name = file.name.lower()
    for end, what in _SUFFIXES.items():
        if name.endswith(end):
            return what
    return "" if file.suffix == WEIGHTS else f"a file of the type {file.suffix!r}"


def _describe_zip(file: Path) -> str:
    """torch writes a zip archive with a pickle in it."""
    try:
        names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return f"a pickle of torch, {_PICKLE}, and is damaged"
    has_pickle = any(name.endswith(".pkl") for name in names)
    return f"a pickle of torch, {_PICKLE}" if has_pickle else "an archive; unpack it"


def _describe_gguf(file: Path) -> str:
    """Names the architecture, which is among the first keys; other values are not parsed."""
    with file.open("rb") as opened:
        head = opened.read(4096)
    match = re.search(re.escape(_GGUF_KEY) + rb"\x08\0\0\0(.{8})", head, re.DOTALL)
    length = min(struct.unpack("<Q", match[1])[0], 40) if match else 0
    text = head[match.end() : match.end() + length].decode(errors="replace") if match else ""
    name = text if text.isprintable() else ""
    if name in _DENOISERS:
        return (
            f"a GGUF file with the quantized denoiser of {name} alone; give it in the key unet or"
            " transformer of the checkpoint that it changes"
        )
    if name in _VIDEOS:
        return f"a GGUF file of a video model ({name})"
    return f"a GGUF file of a language model ({name})" if name else "a GGUF file"
