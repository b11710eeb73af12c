"""Scenes and their captions as batches for the denoiser, kept whole in the device's memory.

Reads what make_dataset.py writes; the places of patches come from the code that serves. Captions
are encoded once and kept beside the scenes. Knows nothing of noise or of training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from daguerre.models.embedded.canvas import PATCH, PATCH_VALUES, canvas, coarse_canvas

EMPTY_SHARE = 0.1  # of captions are left empty, for guidance


@dataclass(frozen=True)
class Group:
    """The scenes of one size: images (n, h, w, 3) uint8; where their patches lie, as tensors."""

    images: Tensor
    rows: int
    columns: int
    position: Tensor  # (N, 96)
    bias: Tensor  # (N,)

    def patches(self, index: Tensor) -> Tensor:
        """(len(index), N, 192) float32 in [-1, 1], padding is zero."""
        x = self.images[index].float() / 127.5 - 1
        x = x.view(len(index), self.rows, PATCH, self.columns, PATCH, 3).transpose(2, 3)
        x = x.reshape(len(index), self.rows * self.columns, PATCH_VALUES)
        return F.pad(x, (0, 0, 0, len(self.bias) - x.shape[1]))


class Dataset:
    """All scenes and their captions' text input in the device's memory.

    Scenes are kept at 1/8 of their size, or at half of that for the coarse part of the training.
    """

    def __init__(
        self, folders: list[Path], weights: Path, seed: int, device: str, coarse: bool = False
    ) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device
        self.groups: list[Group] = []
        texts: list[np.ndarray] = []  # for each folder (captions, 25, 384) float16
        indices: list[list[int]] = []  # of each scene's captions
        group_of: list[int] = []
        index_in: list[int] = []
        for folder in folders:
            captions: list[list[str]] = []
            for file in sorted(folder.glob("[0-9]*x[0-9]*.npy")):
                width, height = map(int, file.stem.split("x"))
                images = np.load(file)
                group_of += [len(self.groups)] * len(images)
                index_in += range(len(images))
                self.groups.append(_group(images, width, height, device, coarse))
                captions += [scene["captions"] for scene in json.loads(_record(file).read_text())]
            unique = sorted({c for four in captions for c in four})
            index = {c: i + sum(map(len, texts)) for i, c in enumerate(unique)}
            texts.append(_encoded(unique, weights, folder, device))
            indices += [[index[c] for c in four] for four in captions]
        self.text = torch.from_numpy(np.concatenate(texts)).to(device)
        self.caption_index = torch.tensor(indices)
        self.group_of, self.index_in = torch.tensor(group_of), torch.tensor(index_in)
        assert len(self.group_of) == len(indices), (len(self.group_of), len(indices))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(patches (B, N, 192), text (B, 25, 384), position, bias), for ever; rows of a batch come
        in the order of their sizes."""
        while True:
            order = torch.randperm(len(self.group_of), generator=self.generator)
            for start in range(0, len(order) - size + 1, size):
                yield self._batch(order[start : start + size])

    def _batch(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        groups = self.group_of[chosen]
        chosen = chosen[groups.argsort()]
        patches, position, bias = [], [], []
        numbers, counts = groups.unique(return_counts=True)
        mine = iter(self.index_in[chosen].split(counts.tolist()))
        for number in numbers.tolist():
            group, index = self.groups[number], next(mine).to(self.device)
            patches.append(group.patches(index))
            position.append(group.position.expand(len(index), -1, -1))
            bias.append(group.bias.expand(len(index), -1))
        captions = self.caption_index[chosen]
        pick = torch.randint(captions.shape[1], (len(chosen), 1), generator=self.generator)
        text = self.text[captions.gather(1, pick).squeeze(1).to(self.device)].float()
        is_empty = torch.rand(len(chosen), generator=self.generator) < EMPTY_SHARE
        text[is_empty.to(self.device)] = 0.0
        return torch.cat(patches), text, torch.cat(position), torch.cat(bias)


def _group(images: np.ndarray, width: int, height: int, device: str, coarse: bool) -> Group:
    where = (coarse_canvas if coarse else canvas)(width, height)
    if coarse:
        images = shrink(images, where.columns * PATCH, where.rows * PATCH)
    tensors = (torch.from_numpy(a).to(device) for a in (where.position, where.bias))
    return Group(torch.from_numpy(images).to(device), where.rows, where.columns, *tensors)


def _encoded(unique: list[str], weights: Path, cache: Path, device: str) -> np.ndarray:
    from training.text_encoder import CaptionEncoder

    file = cache / f"text-{len(unique)}.npy"
    if not file.exists():
        np.save(file, CaptionEncoder(weights, device)(unique))
    return np.load(file)  # type: ignore[no-any-return]


def shrink(images: np.ndarray, width: int, height: int) -> np.ndarray:
    """(n, h, w, 3) uint8 -> (n, height, width, 3) by areas."""
    box = Image.Resampling.BOX
    return np.stack([Image.fromarray(a).resize((width, height), box) for a in images])


def _record(file: Path) -> Path:
    return file.with_suffix(".json")
