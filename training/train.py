"""Trains the denoiser on scenes made by make_dataset.py; resumable, on a CPU or a CUDA device.

    python -m training.train --data DIR [DIR ...] --run training/runs/first --minutes 90

Every call goes on from RUN/checkpoint.pt where there is one; the learning rate falls to zero over
the last part of the whole budget, so give the same --minutes (or --images) again to go on with a
plan, or a larger one to prolong it. Knows nothing of serving; the shapes come from the code that
serves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daguerre.models.embedded.canvas import canvas
from training.network import Denoiser, DenoiserConfig

MIN_NOISE = 0.05  # floor of 1 - t in the loss (Li and He 2025)


class Dataset:
    """All scenes in memory at 1/8 size as uint8, and the text input of their captions."""

    def __init__(self, folders: list[Path], weights: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.images: list[tuple[int, int, np.ndarray]] = []  # (width, height, (n, h, w, 3) uint8)
        texts: list[np.ndarray] = []  # for each folder (captions, 25, 384) float16
        indices: list[list[int]] = []
        for folder in folders:
            captions: list[list[str]] = []
            for file in sorted(folder.glob("[0-9]*x[0-9]*.npy")):
                width, height = map(int, file.stem.split("x"))
                self.images.append((width, height, np.load(file, mmap_mode="r")))
                captions += [scene["captions"] for scene in json.loads(_record(file).read_text())]
            unique = sorted({c for four in captions for c in four})
            index = {c: i + sum(map(len, texts)) for i, c in enumerate(unique)}
            texts.append(self._encode(unique, weights, folder))
            indices += [[index[c] for c in four] for four in captions]
        self.text = np.concatenate(texts)
        self.caption_index = np.array(indices)
        self.where = [(g, i) for g, (_, _, a) in enumerate(self.images) for i in range(len(a))]
        assert len(self.where) == len(indices), (len(self.where), len(indices))

    def _encode(self, unique: list[str], weights: Path, cache: Path) -> np.ndarray:
        from training.text_encoder import CaptionEncoder

        file = cache / f"text-{len(unique)}.npy"
        if not file.exists():
            np.save(file, CaptionEncoder(weights)(unique))
        return np.load(file, mmap_mode="r")

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, ...]]:
        """(patches (B, 256, 192) float32 in [-1, 1], text, position, bias), for ever."""
        while True:
            order = self.rng.permutation(len(self.where))
            for start in range(0, len(order) - size + 1, size):
                rows = [self._row(int(i)) for i in order[start : start + size]]
                yield tuple(np.stack(part) for part in zip(*rows, strict=True))

    def _row(self, i: int) -> tuple[np.ndarray, ...]:
        group, index = self.where[i]
        width, height, images = self.images[group]
        where = canvas(width, height)
        image = images[index].astype(np.float32) / 127.5 - 1
        text = self.text[self.rng.choice(self.caption_index[i])].astype(np.float32)
        if self.rng.random() < 0.1:  # the empty caption, for guidance
            text = np.zeros_like(text)
        return where.patchify(image), text, where.position, where.bias


def _record(file: Path) -> Path:
    return file.with_suffix(".json")


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices (Jordan et al. 2024), updates with the size of Adam's.

    Newton-Schulz in float32: on CPUs without bfloat16 matrix units that is the faster type.
    """

    def __init__(self, params: list[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": 0.95, "weight_decay": 0.02})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for params in shapes.values():
                self._update(params, group)

    def _update(self, params: list[Tensor], group: dict[str, float]) -> None:
        updates = []
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            updates.append(p.grad.lerp(state["momentum"], group["momentum"]))
        g = orthogonalize(torch.stack(updates))
        size = 0.2 * max(g.shape[-2:]) ** 0.5
        for p, u in zip(params, g, strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-group["lr"] * size)


def orthogonalize(g: Tensor) -> Tensor:
    """The nearest (n, a, b) matrices with singular values near one, by five quintic steps."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[-2] > g.shape[-1]
    x = g.mT if tall else g
    if x.is_cuda:
        x = x.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(g.dtype)


def sample_t(rows: int, generator: torch.Generator) -> Tensor:
    """Times in (0, 1), most of them where the picture is decided: logit-normal, a tenth uniform."""
    t = torch.sigmoid(torch.randn(rows, generator=generator) * 1.0 - 0.7)
    uniform = torch.rand(rows, generator=generator)
    return torch.where(torch.rand(rows, generator=generator) < 0.1, uniform, t)


def keep_tokens(bias: Tensor, num_keep: int, generator: torch.Generator) -> Tensor:
    """A random set of real patches (B, num_keep) for each row; padding comes last."""
    score = torch.rand(bias.shape, generator=generator) - bias
    return score.argsort(dim=1)[:, :num_keep].contiguous()


class Trainer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(args.seed)
        self.config = DenoiserConfig(width=args.width, depth=args.depth, heads=args.width // 64)
        self.model = Denoiser(self.config).to(self.device)
        self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}
        matrices = [p for b in self.model.blocks for n, p in b.named_parameters()
                    if p.ndim == 2 and "modulation" not in n]  # fmt: skip
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.model.parameters() if id(p) not in chosen]
        self.muon = Muon(matrices, args.lr)
        self.adam = torch.optim.AdamW(rest, args.lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.images, self.seconds, self.steps = 0, 0.0, 0
        self.run = Path(args.run)
        self.run.mkdir(parents=True, exist_ok=True)
        if (self.run / "checkpoint.pt").exists():
            self._load()
        elif args.start:
            from training.export import load_shipped

            self.model.load_state_dict(load_shipped(args.start).state_dict())
            self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}

    def _load(self) -> None:
        state = torch.load(self.run / "checkpoint.pt", map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.ema = state["ema"]
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.images, self.seconds, self.steps = state["images"], state["seconds"], state["steps"]

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "ema": self.ema, "muon": self.muon.state_dict(),
                 "adam": self.adam.state_dict(), "images": self.images, "seconds": self.seconds,
                 "steps": self.steps, "config": vars(self.config)}  # fmt: skip
        torch.save(state, self.run / "checkpoint.tmp")
        os.replace(self.run / "checkpoint.tmp", self.run / "checkpoint.pt")

    def progress(self) -> float:
        if self.args.images:
            return self.images / float(self.args.images)
        return self.seconds / (60.0 * self.args.minutes)

    def learning_rate(self) -> float:
        warm = min(1.0, (self.steps + 1) / 60)
        cool = min(1.0, (1 - self.progress()) / self.args.cooldown)
        return float(self.args.lr * warm * max(cool, 0.0))

    def train(self, data: Dataset) -> None:
        generator = torch.Generator().manual_seed(self.args.seed + self.steps)
        network = torch.compile(self.model, dynamic=False) if self.args.compile else self.model
        last_save, losses, log = time.time(), [], open(self.run / "log.jsonl", "a")
        batches = data.batches(self.args.batch)
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        while self.progress() < 1 and not stopped:
            started = time.time()
            losses.append(self._step(network, next(batches), generator))
            self.steps += 1
            self.images += self.args.batch
            self.seconds += min(time.time() - started, 30.0)  # compiling is not training
            if self.steps % 20 == 0:
                line = {
                    "step": self.steps,
                    "images": self.images,
                    "seconds": round(self.seconds),
                    "loss": round(float(np.mean(losses)), 5),
                    "lr": self.learning_rate(),
                }
                print(json.dumps(line), file=log, flush=True)
                losses = []
            if time.time() - last_save > 240:
                self.save()
                last_save = time.time()
        self.save()

    def _step(self, network, batch, generator) -> float:  # type: ignore[no-untyped-def]
        x, text, position, bias = (torch.from_numpy(a).to(self.device) for a in batch)
        t = sample_t(len(x), generator).to(self.device)
        noise = torch.randn(x.shape, generator=generator).to(self.device)
        mix = t[:, None, None]
        noisy = mix * x + (1 - mix) * noise
        keep = None
        if self.progress() < self.args.routed:
            keep = keep_tokens(bias.cpu(), self.args.keep, generator).to(self.device)
        cuda = self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            clean = network(noisy, t, text, position, bias, keep)
        weight = (bias == 0).float()[:, :, None] / (1 - mix).clamp_min(MIN_NOISE) ** 2
        loss = (weight * (clean.float() - x) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        for optimizer in (self.muon, self.adam):
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(self.args.ema, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.ema[name].lerp_(value, 1 - decay)
        if not math.isfinite(loss.item()):
            raise SystemExit(f"the loss is {loss.item()} at step {self.steps}")
        return loss.item()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", nargs="+", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--weights", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--start", type=Path, help="exported weights to begin with, for a new run")
    p.add_argument("--minutes", type=float, default=90, help="training time in all")
    p.add_argument("--images", type=int, default=0, help="images in all, instead of minutes")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--depth", type=int, default=8)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--cooldown", type=float, default=0.4, help="share of the budget, at the end")
    p.add_argument("--keep", type=int, default=104, help="patches in the middle blocks")
    p.add_argument("--routed", type=float, default=0.9, help="share trained with --keep patches")
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-compile", dest="compile", action="store_false")
    return p.parse_args(argv)


def main() -> None:
    args = parse()
    trainer = Trainer(args)
    trainer.train(Dataset(args.data, args.weights, args.seed + trainer.steps))


if __name__ == "__main__":
    main()
