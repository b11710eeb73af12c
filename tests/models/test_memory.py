"""How much memory a checkpoint takes: by the heads of its files, in the type it is loaded in."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from daguerre.models.diffusers import memory


def weights(file: Path, **shapes: list[int]) -> Path:
    head = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            **{
                name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]}
                for name, shape in shapes.items()
            },
        }
    ).encode()
    file.write_bytes(struct.pack("<Q", len(head)) + head)
    return file


def test_weights_are_counted_in_their_loaded_type(tmp_path: Path) -> None:
    """Half precision on the disk is twice as large in float32, and as large in bfloat16."""
    files = [weights(tmp_path / "a", x=[1000, 1000], y=[7]), weights(tmp_path / "b", z=[])]
    num_items = 1_000_000 + 7 + 1
    nothing = memory.needed([], "float32")
    assert nothing > 0
    assert memory.needed(files, "float32") - nothing == 4 * num_items
    assert memory.needed(files, "bfloat16") - nothing == 2 * num_items


def test_quantized_matrices_take_a_byte(tmp_path: Path) -> None:
    """Of the files that are quantised; vectors and kernels in them, and all other files, do not."""
    one = weights(tmp_path / "a", x=[100, 100], y=[7], kernel=[2, 2, 3, 3])
    other = weights(tmp_path / "b", z=[10, 10])
    nothing = memory.needed([], "float32")
    found = memory.needed([one, other], "float32", [one]) - nothing
    assert found == 10_000 + 4 * (7 + 36) + 4 * 100


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, struct.pack("<Q", 2) + b"[]", b"\0" * 8])
def test_what_is_no_file_of_weights(tmp_path: Path, data: bytes) -> None:
    """A damaged file takes nothing; that it is damaged is told when it is loaded."""
    file = tmp_path / "damaged"
    file.write_bytes(data)
    assert memory.needed([file], "float32") == memory.needed([], "float32")


def test_container_has_less_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smaller of what the machine and the container have counts; cached files are free."""
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "none")
    machine = memory.free("cpu")
    assert machine > 0
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    for name, text in (("max", "1000"), ("current", "700"), ("stat", "inactive_file 50\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.free("cpu") == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free("cpu") > 1000
