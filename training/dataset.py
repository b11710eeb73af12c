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
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from daguerre.models.embedded.fields import FIELDS, OBJECT_FIELDS
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from training.text_encoder import CaptionEncoder

EMPTY_SHARE = 0.1  # of captions and their negative prompts are left empty, for guidance
NUM_NEGATIVE = 9  # slots of a negative prompt that training looks at
CHUNK = 4096  # captions that are encoded at a time


class Dataset:
    """The scenes of a folder with the text of their captions, in an order of the seed's."""

    def __init__(self, folder: Path, encoder: CaptionEncoder, seed: int) -> None:
        scenes = np.load(folder / "scenes.npz")
        self.tokens = torch.from_numpy(scenes["tokens"])  # (N, F) int16
        self.shapes = torch.from_numpy(scenes["shapes"])  # (N,) int8
        assert self.tokens.shape[1] == len(FIELDS), f"{folder} has other fields; make it again"
        self.text, self.text_of = encoded(folder, "captions", encoder)  # (n, 25, 384), (N,)
        self.negatives, self.negative_of = encoded(folder, "negatives", encoder)
        self.generator = torch.Generator().manual_seed(seed)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(tokens (B, F) int64, text (B, 25, 384) and negative (B, 9, 384) float32, shape (B,)
        int64), for ever. Of a negative prompt the mean and the first eight tokens are enough."""
        while True:
            order = torch.randperm(len(self.tokens), generator=self.generator)
            for start in range(0, len(order) - size + 1, size):
                chosen, _ = order[start : start + size].sort()  # in the order of the file
                own = chosen.numpy()
                text = torch.from_numpy(self.text[self.text_of[own]]).float()
                rows = self.negatives[self.negative_of[own], :NUM_NEGATIVE]
                negative = torch.from_numpy(rows).float()
                is_empty = torch.rand(size, generator=self.generator) < EMPTY_SHARE
                text[is_empty], negative[is_empty] = 0.0, 0.0
                yield self.tokens[chosen].long(), text, negative, self.shapes[chosen].long()


def encoded(
    folder: Path, kind: str, encoder: CaptionEncoder
) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """The different texts of DIR/KIND.json encoded, and for each scene which of them is its own.

    They are kept in DIR/KIND.npy. Captions hardly ever come twice; negative prompts often do.
    """
    texts = json.loads((folder / f"{kind}.json").read_text())
    unique = list(dict.fromkeys(texts))
    place = {text: i for i, text in enumerate(unique)}
    done, part = folder / f"{kind}.npy", folder / f"{kind}.npy.part"
    if not done.exists():
        size = (len(unique), 1 + NUM_SLOTS, TEXT_WIDTH)
        rows = open_memmap(part, mode="w+", dtype=np.float16, shape=size)
        for start in range(0, len(unique), CHUNK):
            rows[start : start + CHUNK] = encoder(unique[start : start + CHUNK])
        rows.flush()
        part.rename(done)
    return np.load(done, mmap_mode="r"), np.array([place[text] for text in texts])


def name_meanings(encoder: CaptionEncoder) -> Tensor:
    """(N, 384): the mean over the words of each name and of its synonyms, zero for no thing."""
    from daguerre.models.embedded.drawing import things

    rows = np.zeros((len(OBJECT_FIELDS["name"]), TEXT_WIDTH), np.float32)
    for i, name in enumerate(OBJECT_FIELDS["name"]):
        if name:
            known = things.BY_NAME.get(name)
            words = (name, *known.synonyms) if known else (name,)
            rows[i] = encoder(words)[:, 0].astype(np.float32).mean(axis=0)
    return torch.from_numpy(rows)
