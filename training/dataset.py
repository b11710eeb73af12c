"""Scenes and their captions as batches for the denoiser.

Reads the files of make_dataset.py. Captions are encoded once, with the serving code, and stored
next to the scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daguerre.models.embedded.fields import FIELDS, OBJECT_FIELDS
from daguerre.models.embedded.text import NUM_NEGATIVE_SLOTS, NUM_SLOTS, TEXT_WIDTH
from training.text_encoder import CaptionEncoder

EMPTY_SHARE = 0.1  # of captions and their negative prompts are left empty, for guidance
CHUNK = 4096  # captions that are encoded at a time
# Slots of a batch's prompts: few different shapes, each of which is compiled.
LENGTHS = (13, 17, 25, 41, 1 + NUM_SLOTS)
# tokens (B, F) int64, text (B, T, 384), negative (B, 9, 384) float32, shape (B,) int64
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Texts:
    """Encoded texts one after the other; `ends[k]` is where text k ends in `rows` (n, 384)."""

    def __init__(self, rows: NDArray[np.float16], ends: NDArray[np.int64]) -> None:
        self._rows, self._ends = rows, ends
        self.lengths = np.diff(ends, prepend=0)

    def padded(self, chosen: NDArray[np.int64], length: int) -> Tensor:
        """Texts (len(chosen), length, 384) float32, with zeros after their ends."""
        out = np.zeros((len(chosen), length, TEXT_WIDTH), np.float32)
        for row, k in enumerate(chosen):
            start, size = self._ends[k] - self.lengths[k], self.lengths[k]
            out[row, :size] = self._rows[start : start + size]
        return torch.from_numpy(out)


class Dataset:
    """The scenes of a folder with the text of their captions; the seed decides the order."""

    def __init__(self, folder: Path, encoder: CaptionEncoder, seed: int) -> None:
        scenes = np.load(folder / "scenes.npz")
        self.tokens = torch.from_numpy(scenes["tokens"])  # (N, F) int16
        self.shapes = torch.from_numpy(scenes["shapes"])  # (N,) int8
        assert self.tokens.shape[1] == len(FIELDS), f"{folder} has other fields; make it again"
        self.texts, self.text_of = encoded(folder, "captions", encoder, NUM_SLOTS)
        self.negatives, self.negative_of = encoded(folder, "negatives", encoder, NUM_NEGATIVE_SLOTS)
        self.generator = torch.Generator().manual_seed(seed)

    def batches(self, size: int, num_parts: int = 1) -> Iterator[list[Batch]]:
        """Batches of random captions for ever, in parts with captions of like length."""
        while True:
            order = torch.randperm(len(self.tokens), generator=self.generator).numpy()
            for start in range(0, len(order) - size + 1, size):
                chosen = order[start : start + size]
                lengths = self.texts.lengths[self.text_of[chosen]]
                chosen = chosen[np.argsort(lengths, kind="stable")]
                yield [self._batch(part) for part in np.array_split(chosen, num_parts)]

    def _batch(self, chosen: NDArray[np.int64]) -> Batch:
        own, other = self.text_of[chosen], self.negative_of[chosen]
        longest = self.texts.lengths[own].max()
        text = self.texts.padded(own, next(n for n in LENGTHS if n >= longest))
        negative = self.negatives.padded(other, 1 + NUM_NEGATIVE_SLOTS)
        is_empty = torch.rand(len(chosen), generator=self.generator) < EMPTY_SHARE
        text[is_empty], negative[is_empty] = 0.0, 0.0
        rows = torch.from_numpy(chosen)
        return self.tokens[rows].long(), text, negative, self.shapes[rows].long()


def encoded(
    folder: Path, kind: str, encoder: CaptionEncoder, num_slots: int
) -> tuple[Texts, NDArray[np.int64]]:
    """The different texts of DIR/KIND.json encoded, and for each scene which of them is its own.

    They are kept in DIR/KIND.f16 and DIR/KIND-ends.npy, without the slots that are empty. Few
    captions occur twice; many negative prompts do.
    """
    texts = json.loads((folder / f"{kind}.json").read_text())
    unique = list(dict.fromkeys(texts))
    place = {text: i for i, text in enumerate(unique)}
    rows, ends = folder / f"{kind}.f16", folder / f"{kind}-ends.npy"
    if not ends.exists():
        lengths = []
        with rows.open("wb") as file:
            for start in range(0, len(unique), CHUNK):
                found = encoder(unique[start : start + CHUNK], num_slots)
                is_used = found.any(axis=2)
                file.write(found[is_used].tobytes())
                lengths.append(is_used.sum(axis=1))
        np.save(ends, np.cumsum(np.concatenate(lengths)))
    return _read(rows, ends), np.array([place[text] for text in texts])


def _read(rows: Path, ends: Path) -> Texts:
    table = np.memmap(rows, np.float16, "r") if rows.stat().st_size else np.zeros(0, np.float16)
    return Texts(table.reshape(-1, TEXT_WIDTH), np.load(ends))


def name_meanings(encoder: CaptionEncoder) -> Tensor:
    """(N, 384): the mean over each name and its synonyms; zero for the empty name."""
    from daguerre.models.embedded.drawing import things

    rows = np.zeros((len(OBJECT_FIELDS["name"]), TEXT_WIDTH), np.float32)
    for i, name in enumerate(OBJECT_FIELDS["name"]):
        if name:
            known = things.BY_NAME.get(name)
            words = (name, *known.synonyms) if known else (name,)
            rows[i] = encoder(words)[:, 0].astype(np.float32).mean(axis=0)
    return torch.from_numpy(rows)
