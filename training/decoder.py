"""The decoder: from the canvas at 1/8 size to the file's pixels, and its training.

    python -m training.decoder --images DIR --denoiser training/runs/first --run DIR

A small convolutional network that learns crisp edges from the same scenes drawn large. It is
trained on canvases as the denoiser leaves them (its own estimates of slightly noisy scenes), so
that it also mends soft shapes and the seams of patches. --images is a folder of full-size scenes
(training.make_dataset --scale 1). Letters: B rows, h and w canvas pixels, H = 8h and W = 8w.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daguerre.models.embedded.canvas import SCALE, canvas
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from training.checkpoints import load_denoiser

NOISE_LEVELS = (0.0, 0.02, 0.08)  # of the canvas, as a young denoiser leaves it


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(x)))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    def __init__(self, channels: int = 64, blocks: int = 4, fine: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.up = nn.Conv2d(channels, 4 * fine, 3, padding=1)
        self.fine = Residual(fine)
        self.last = nn.Conv2d(fine, 3 * 16, 3, padding=1)

    def enlarge(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) in [-1, 1] -> (B, 3, 8h, 8w), about [-1, 1]."""
        y = F.silu(self.up(self.blocks(F.silu(self.first(x)))))
        y = self.last(F.silu(self.fine(F.pixel_shuffle(y, 2))))
        smooth = F.interpolate(x, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return smooth + F.pixel_shuffle(y, 4)

    def forward(self, canvas: Tensor) -> Tensor:
        """(B, h, w, 3) float32 in [-1, 1] -> (B, 8h, 8w, 3) uint8."""
        y = self.enlarge(canvas.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (y.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)


class Pairs:
    """Random crops: canvas (B, 3, 40, 40) as the denoiser leaves it, and the scene's pixels."""

    def __init__(self, folder: Path, denoiser: nn.Module | None, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.full: list[np.ndarray] = []  # (H, W, 3) uint8
        self.canvases: list[list[np.ndarray]] = []  # versions of (h, w, 3) float32
        for file in sorted(folder.glob("[0-9]*x[0-9]*.npy")):
            for scene in np.load(file, mmap_mode="r"):
                height, width = scene.shape[:2]
                small = scene.reshape(height // SCALE, SCALE, width // SCALE, SCALE, 3)
                small = small.mean(axis=(1, 3), dtype=np.float32) / 127.5 - 1
                self.full.append(np.asarray(scene))
                self.canvases.append([small, *self._estimates(small, denoiser)])

    def _estimates(self, small: np.ndarray, denoiser: nn.Module | None) -> list[np.ndarray]:
        """What the denoiser makes of the scene with a little noise, without its caption."""
        if denoiser is None:
            return []
        where = canvas(small.shape[1] * SCALE, small.shape[0] * SCALE)
        patches = torch.from_numpy(where.patchify(small))[None].repeat(3, 1, 1)
        t = torch.from_numpy(self.rng.uniform(0.55, 0.95, 3).astype(np.float32))
        noise = torch.from_numpy(self.rng.standard_normal(patches.shape, dtype=np.float32))
        noisy = t[:, None, None] * patches + (1 - t[:, None, None]) * noise
        no_text = np.zeros((1 + NUM_SLOTS, TEXT_WIDTH), np.float32)
        fixed = (np.stack([a] * 3) for a in (no_text, where.position, where.bias))
        with torch.no_grad():
            clean = denoiser(noisy, t, *(torch.from_numpy(a) for a in fixed))
        return list(where.unpatchify(clean.numpy()))

    def batch(self, rows: int, side: int = 40) -> tuple[Tensor, Tensor]:
        xs, ys = [], []
        for _ in range(rows):
            i = self.rng.integers(len(self.full))
            versions = self.canvases[i]
            small = versions[self.rng.integers(len(versions))]
            top = self.rng.integers(small.shape[0] - side + 1)
            left = self.rng.integers(small.shape[1] - side + 1)
            x = small[top : top + side, left : left + side]
            level = np.float32(self.rng.choice(NOISE_LEVELS))
            x = x + level * self.rng.standard_normal(x.shape, dtype=np.float32)
            y = self.full[i][top * 8 : (top + side) * 8, left * 8 : (left + side) * 8]
            flip = slice(None, None, int(self.rng.choice((1, -1))))
            xs.append(x[:, flip].transpose(2, 0, 1))
            ys.append(y[:, flip].transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
        return torch.from_numpy(np.stack(xs)), torch.from_numpy(np.stack(ys))


def distance(y: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the pixels and of their differences, which is what makes edges."""
    loss = (y - target).abs().mean()
    for axis in (2, 3):
        loss = loss + (y.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    return loss


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    decoder = Decoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(decoder.parameters(), 2e-3, betas=(0.9, 0.98))
    args.run.mkdir(parents=True, exist_ok=True)
    file, seconds, step = args.run / "decoder.pt", 0.0, 0
    if file.exists():
        state = torch.load(file)
        decoder.load_state_dict(state["model"])
    pairs = Pairs(
        args.images, load_denoiser(args.denoiser)[0] if args.denoiser else None, args.seed
    )
    network = torch.compile(decoder.enlarge, dynamic=False) if args.compile else decoder.enlarge
    while seconds < 60 * args.minutes:
        started = time.time()
        rate = min(1.0, (step + 1) / 50, (1 - seconds / (60 * args.minutes)) / 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * max(rate, 0.0)
        x, target = pairs.batch(args.batch)
        loss = distance(network(x.to(memory_format=torch.channels_last)), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        seconds += min(time.time() - started, 10.0)
        if step % 50 == 0:
            print(f"step {step} seconds {seconds:.0f} loss {loss.item():.4f}", flush=True)
            torch.save({"model": decoder.state_dict()}, str(file) + ".tmp")
            os.replace(str(file) + ".tmp", file)
    torch.save({"model": decoder.state_dict()}, file)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--denoiser", type=Path, help="run whose estimates to train on")
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--minutes", type=float, default=12)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-compile", dest="compile", action="store_false")
    train(p.parse_args())


if __name__ == "__main__":
    main()
