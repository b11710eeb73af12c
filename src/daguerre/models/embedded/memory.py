"""What the steps read of the prompts: the reader's keys and values, padded to one length.

Each image has two rows, one with its prompts and one without, for guidance. What is read without
prompts never changes, so it comes from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import Outputs
from daguerre.models.embedded.text import HIDDEN, NUM_NEGATIVE_SLOTS, NUM_SLOTS

LENGTH = 2 + NUM_SLOTS + NUM_NEGATIVE_SLOTS  # slots of both texts, with their means
# keys and values (1, depth, heads, length, width), bias (1, 1, 1, length)
Memory = Mapping[str, NDArray[np.float32]]


def read_unprompted(folder: Path) -> Memory:
    """What is read without prompts: one slot."""
    with (folder / "unprompted.npz").open("rb") as file, np.load(file) as arrays:
        return {**arrays, "bias": np.zeros((1, 1, 1, 1), np.float32)}


def of_reader(outputs: Outputs) -> Memory:
    keys, values, bias = (np.asarray(array) for array in outputs)
    return {"keys": keys, "values": values, "bias": bias}


def both_rows(prompted: Memory, unprompted: Memory) -> dict[str, NDArray[np.float32]]:
    """Two rows of `LENGTH` slots."""
    rows = (prompted, unprompted)
    return {name: np.concatenate([_padded(name, row[name]) for row in rows]) for name in prompted}


def _padded(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """`LENGTH` slots; attention ignores those without a token."""
    shape = (*array.shape[:3], LENGTH, *array.shape[4:])
    padded = np.full(shape, HIDDEN if name == "bias" else 0, np.float32)
    padded[:, :, :, : array.shape[3]] = array
    return padded
