"""A small classifier that reads from a picture what its prompt asked for; evaluation's eyes.

    python -m training.reader --data DIR --run DIR

Trained on rendered scenes alone, which the denoiser never sees; never used to train the denoiser.
Pictures are reduced to 64x64, whatever their shape, and softened at random, so that it judges what
is shown and not how crisp it is. --data is made by training.make_dataset with a seed of its own;
the last twentieth of it is kept back to measure the reader itself.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

SIDE = 64
HEADS = ("thing", "colour", "background", "terrain", "time", "moon", "sun")
Facts = dict[str, str]
HELD_BACK = 20  # one in so many is not trained on


def read_facts(record: dict[str, Any]) -> Facts:
    """Of a scene: head -> class, "" for none."""
    item = record["things"][0] if record["things"] else {"name": "", "colour": ""}
    facts = {"thing": item["name"], "colour": item["colour"]}
    facts |= {name: record[name] for name in ("background", "terrain", "time")}
    return facts | {name: "yes" if record[name] else "" for name in ("moon", "sun")}


def reduce(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) -> (64, 64, 3), squeezed to a square."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


class Reader(nn.Module):
    """Logits of every head from (B, 3, 64, 64) in [-1, 1]; `classes` names them in order."""

    def __init__(self, classes: dict[str, list[str]], channels: int = 32) -> None:
        super().__init__()
        self.classes = classes
        widths = (channels, 2 * channels, 4 * channels, 6 * channels)
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths[:-1]), widths, strict=True):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        size = widths[-1] * (SIDE // 16) ** 2
        self.heads = nn.ModuleDict({name: nn.Linear(size, len(classes[name])) for name in HEADS})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(x)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, pictures: NDArray[np.uint8]) -> list[Facts]:
        """What (n, 64, 64, 3) show."""
        self.eval()
        logits = self(_tensor(pictures))
        best = {name: logits[name].argmax(dim=1).tolist() for name in HEADS}
        return [
            {name: self.classes[name][best[name][i]] for name in HEADS}
            for i in range(len(pictures))
        ]


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def soften(x: Tensor, generator: torch.Generator) -> Tensor:
    """Some rows blurred, all a little noisy and shifted in brightness."""
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.rand(len(x), 1, 1, 1, generator=generator)
    x = x + share * (blurred - x)
    level = 0.15 * torch.rand(len(x), 1, 1, 1, generator=generator)
    shift = 0.1 * torch.randn(len(x), 3, 1, 1, generator=generator)
    return x + level * torch.randn(x.shape, generator=generator) + shift


def load_scenes(folder: Path) -> tuple[NDArray[np.uint8], list[Facts]]:
    pictures: list[NDArray[np.uint8]] = []
    facts: list[Facts] = []
    for file in sorted(folder.glob("[0-9]*x[0-9]*.npy")):
        pictures += [reduce(a) for a in np.load(file, mmap_mode="r")]
        facts += map(read_facts, json.loads(file.with_suffix(".json").read_text()))
    return np.stack(pictures), facts


def accuracy(reader: Reader, pictures: NDArray[np.uint8], facts: list[Facts]) -> dict[str, float]:
    """Of every head, on the pictures where its fact is not none."""
    found = reader.read(pictures)
    shares: dict[str, float] = {}
    for name in HEADS:
        hits = [f[name] == g[name] for f, g in zip(facts, found, strict=True) if f[name]]
        shares[name] = round(float(np.mean(hits)), 4) if hits else float("nan")
    return shares


def load(run: Path) -> Reader:
    state = torch.load(run / "reader.pt")
    reader = Reader(state["classes"])
    reader.load_state_dict(state["model"])
    return reader


def train(folder: Path, run: Path, minutes: float, seed: int) -> None:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pictures, facts = load_scenes(folder)
    classes = {name: sorted({"", *(f[name] for f in facts)}) for name in HEADS}
    reader = Reader(classes)
    labels = {name: torch.tensor([classes[name].index(f[name]) for f in facts]) for name in HEADS}
    kept = np.arange(len(pictures)) % HELD_BACK == 0
    rows = torch.from_numpy(np.flatnonzero(~kept))
    optimizer = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=0.02)
    began = time.time()
    while (spent := (time.time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - spent)
        chosen = rows[torch.randint(len(rows), (64,), generator=generator)]
        x = soften(_tensor(pictures[chosen.numpy()]), generator)
        logits = reader.train()(x)
        losses = [F.cross_entropy(logits[name], labels[name][chosen]) for name in HEADS]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    run.mkdir(parents=True, exist_ok=True)
    held = [f for f, k in zip(facts, kept, strict=True) if k]
    shares = accuracy(reader, pictures[kept], held)
    torch.save({"classes": classes, "model": reader.state_dict()}, run / "reader.pt")
    (run / "reader.json").write_text(json.dumps(shares, indent=2) + "\n")
    print(json.dumps(shares))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--minutes", type=float, default=4)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    train(args.data, args.run, args.minutes, args.seed)


if __name__ == "__main__":
    main()
