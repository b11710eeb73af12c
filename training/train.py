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
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.checkpoints import load_start, save_parts
from training.dataset import Dataset
from training.network import Denoiser, DenoiserConfig

MIN_NOISE = 0.05  # floor of 1 - t in the loss (Li and He 2025)


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


def sample_t(rows: int, generator: torch.Generator, mean: float = -0.7) -> Tensor:
    """Times in (0, 1), most of them where the picture is decided: logit-normal, a tenth uniform."""
    on = {"generator": generator, "device": generator.device}
    t = torch.sigmoid(torch.randn(rows, **on) + mean)  # type: ignore[call-overload]
    uniform, share = torch.rand(2, rows, **on)  # type: ignore[call-overload]
    return torch.where(share < 0.1, uniform, t)


def keep_tokens(bias: Tensor, num_keep: int, generator: torch.Generator) -> Tensor:
    """A random set of real patches (B, num_keep) for each row; padding comes last."""
    score = torch.rand(bias.shape, generator=generator, device=bias.device) - bias
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
            start = load_start(args.start)
            if start.config != self.config:
                raise SystemExit(
                    f"--start {args.start} has width {start.config.width} and depth"
                    f" {start.config.depth}; give the same with --width and --depth"
                )
            self.model.load_state_dict(start.state_dict())
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
        generator = torch.Generator(self.device).manual_seed(self.args.seed + self.steps)
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
        if self.args.parts:
            trained = {"images": self.images, "steps": self.steps, "seconds": self.seconds}
            save_parts(self.args.parts, self.config, self.ema, trained)

    def _step(self, network, batch, generator) -> float:  # type: ignore[no-untyped-def]
        x, text, position, bias = batch
        t = sample_t(len(x), generator, self.args.time_mean)
        noise = torch.randn(x.shape, generator=generator, device=self.device)
        mix = t[:, None, None]
        noisy = mix * x + (1 - mix) * noise
        keep = None
        if self.progress() < self.args.routed and not self.args.coarse:
            keep = keep_tokens(bias, self.args.keep, generator)
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
        torch._foreach_lerp_(  # type: ignore[attr-defined]
            list(self.ema.values()), list(self.model.state_dict().values()), 1 - decay
        )
        if not math.isfinite(loss.item()):
            raise SystemExit(f"the loss is {loss.item()} at step {self.steps}")
        return loss.item()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", nargs="+", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--weights", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--start", type=Path, help="a run, its parts or exported weights")
    p.add_argument("--parts", type=Path, help="folder for the result in files of 15 MiB")
    p.add_argument("--coarse", action="store_true", help="half the size, fewer patches")
    p.add_argument("--minutes", type=float, default=90, help="training time in all")
    p.add_argument("--images", type=int, default=0, help="images in all, instead of minutes")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--depth", type=int, default=8)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--cooldown", type=float, default=0.4, help="share of the budget, at the end")
    p.add_argument("--time-mean", type=float, default=-0.7, help="of the logit of t")
    p.add_argument("--keep", type=int, default=104, help="patches in the middle blocks")
    p.add_argument("--routed", type=float, default=0.9, help="share trained with --keep patches")
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-compile", dest="compile", action="store_false")
    return p.parse_args(argv)


def main() -> None:
    args = parse()
    trainer = Trainer(args)
    trainer.train(
        Dataset(
            args.data, args.weights, args.seed + trainer.steps, str(trainer.device), args.coarse
        )
    )


if __name__ == "__main__":
    main()
