"""Batches for the training, if torch is installed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded.fields import FIELDS, OBJECT_FIELDS
from daguerre.models.embedded.text import NUM_NEGATIVE_SLOTS, NUM_SLOTS, TEXT_WIDTH

torch: Any = pytest.importorskip("torch", reason="torch is there for training alone")
dataset: Any = pytest.importorskip("training.dataset")


class Counting:
    """Encodes a text as its length, and counts the texts."""

    def __init__(self) -> None:
        self.num = 0

    def __call__(self, texts: Sequence[str], num_slots: int = NUM_SLOTS) -> NDArray[np.float16]:
        self.num += len(texts)
        out = np.zeros((len(texts), 1 + num_slots, TEXT_WIDTH), np.float16)
        for row, text in enumerate(texts):
            out[row, : len(text) + (text != "")] = len(text)
        return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve scenes that can be identified by their tokens, shape and caption."""
    tokens = np.repeat(np.arange(12, dtype=np.int16)[:, None], len(FIELDS), axis=1)
    np.savez(tmp_path / "scenes.npz", tokens=tokens, shapes=np.arange(12, dtype=np.int8) % 9)
    (tmp_path / "captions.json").write_text(json.dumps(["x" * (i + 1) for i in range(12)]))
    (tmp_path / "negatives.json").write_text(json.dumps(["" if i % 2 else "no" for i in range(12)]))
    return tmp_path


def test_batches_hold_scenes_with_their_own_words(folder: Path) -> None:
    """Every row has its scene's texts, or none, and its shape; an epoch has each scene once."""
    data = dataset.Dataset(folder, Counting(), seed=1)
    batches, seen, num_empty = data.batches(4), [], 0
    for _ in range(30):
        ((tokens, text, negative, shape),) = next(batches)
        assert tokens.shape == (4, len(FIELDS)) and tokens.dtype == torch.int64
        assert text.shape == (4, dataset.LENGTHS[0], TEXT_WIDTH) and text.dtype == torch.float32
        assert negative.shape == (4, 1 + NUM_NEGATIVE_SLOTS, TEXT_WIDTH)
        for row, i in enumerate(tokens[:, 0].tolist()):
            seen.append(i)
            assert shape[row].item() == i % 9
            is_empty = not bool(text[row].any())
            num_empty += is_empty
            wanted = (0, 0) if is_empty else (i + 1, 0 if i % 2 else 2)
            assert (text[row, 0, 0].item(), negative[row, 0, 0].item()) == wanted
    assert all(sorted(seen[i : i + 12]) == list(range(12)) for i in range(0, 120, 12))
    assert 3 <= num_empty <= 30


def test_words_are_encoded_once(folder: Path) -> None:
    """Equal texts are encoded together and only once; an incomplete part is encoded again."""
    (folder / "captions.f16").write_bytes(b"cut short")
    first, second = Counting(), Counting()
    dataset.Dataset(folder, first, seed=1)
    dataset.Dataset(folder, second, seed=1)
    assert (first.num, second.num) == (12 + 2, 0)


def test_parts_have_captions_of_like_length(folder: Path) -> None:
    """The parts of a batch have ever longer captions, padded to few different lengths."""
    captions = ["x" * (3 + 5 * i) for i in range(12)]
    (folder / "captions.json").write_text(json.dumps(captions))
    parts = next(dataset.Dataset(folder, Counting(), seed=1).batches(12, 3))
    assert [part[1].shape[1] for part in parts] == [25, 41, 65]
    assert [row for part in parts for row in part[0][:, 0].tolist()] == list(range(12))
    for part in parts:
        sizes = (part[1] != 0).any(dim=2).sum(dim=1).tolist()
        assert {*sizes} <= {0, *(4 + 5 * row for row in part[0][:, 0].tolist())}


def test_batches_follow_the_seed(folder: Path) -> None:
    """The same seed gives the same batches; another seed gives others."""
    drawn = [
        [batch[0][0][:, 0].tolist() for batch, _ in zip(data.batches(4), range(6), strict=False)]
        for data in (dataset.Dataset(folder, Counting(), seed) for seed in (1, 1, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_meanings_are_those_of_all_words_for_a_name() -> None:
    """A name's row is the mean over the name and its synonyms; the empty name is zero."""
    found = dataset.name_meanings(Counting())
    assert found.shape == (len(OBJECT_FIELDS["name"]), TEXT_WIDTH) and not bool(found[0].any())
    words = ("glowing mushroom",)
    assert found[-1, 0].item() == pytest.approx(np.mean([len(word) for word in words]))
    assert bool((found[1:] > 0).all())
