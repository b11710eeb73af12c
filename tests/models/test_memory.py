"""Memory that a checkpoint needs, by the headers of its files, and memory that is free."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from daguerre.models.diffusers import memory_probe
from daguerre.models.diffusers.memory_probe import free_bytes, needed_bytes


def weights(file: Path, **shapes: list[int]) -> Path:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for name, shape in shapes.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]}
    data = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(data)) + data)
    return file


def test_weights_count_in_their_loaded_type(tmp_path: Path) -> None:
    """Weights stored in half precision take 4 bytes per item in float32 and 2 in bfloat16."""
    files = [weights(tmp_path / "a", x=[1000, 1000], y=[7]), weights(tmp_path / "b", z=[])]
    num_items = 1_000_000 + 7 + 1
    base = needed_bytes([], "float32")
    assert base > 0
    assert needed_bytes(files, "float32") - base == 4 * num_items
    assert needed_bytes(files, "bfloat16") - base == 2 * num_items


def test_quantized_matrices_take_a_byte_per_item(tmp_path: Path) -> None:
    """Vectors and kernels in quantised files, and all other files, keep their type."""
    one = weights(tmp_path / "a", x=[100, 100], y=[7], kernel=[2, 2, 3, 3])
    other = weights(tmp_path / "b", z=[10, 10])
    found = needed_bytes([one, other], "float32", [one]) - needed_bytes([], "float32")
    assert found == 10_000 + 4 * (7 + 36) + 4 * 100


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, struct.pack("<Q", 2) + b"[]", b"\0" * 8])
def test_damaged_file_counts_nothing(tmp_path: Path, data: bytes) -> None:
    """Loading the file reports the damage."""
    file = tmp_path / "damaged"
    file.write_bytes(data)
    assert needed_bytes([file], "float32") == needed_bytes([], "float32")


def test_container_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller of the machine's and the container's free memory counts; page cache is free."""
    monkeypatch.setattr(memory_probe, "_CGROUP", tmp_path / "none")
    assert free_bytes("cpu") > 0
    monkeypatch.setattr(memory_probe, "_CGROUP", tmp_path)
    for name, text in (("max", "1000"), ("current", "700"), ("stat", "inactive_file 50\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_bytes("cpu") == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes("cpu") > 1000
