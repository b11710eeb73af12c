"""A contact sheet of prompts drawn by a run that is still training, without its decoder.

    python -m training.preview --run training/runs/first --prompts training/prompts.txt --out p.png

Canvases are enlarged by cubic interpolation: enough to judge what has been learned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from daguerre.models.embedded.canvas import Canvas, canvas, coarse_canvas
from daguerre.models.embedded.sampler import Multistep, guide, times
from training.checkpoints import load_denoiser
from training.network import Denoiser
from training.sheet import read_prompts, sheet
from training.text_encoder import CaptionEncoder

SIDE = 1024  # of the file that the canvas stands for


def draw(
    denoiser: Denoiser, where: Canvas, texts: NDArray[np.float32], steps: int, guidance: float
) -> NDArray[np.uint8]:
    """One canvas (rows, h, w, 3) for each of the texts (rows, 25, 384)."""
    rows = len(texts)
    shape = (len(where.bias), denoiser.config.patch_values)
    x = np.stack([np.random.default_rng(i).standard_normal(shape, np.float32) for i in range(rows)])
    device = denoiser.last.weight.device
    text = torch.from_numpy(np.concatenate((texts, np.zeros_like(texts)))).to(device)
    fixed = [
        torch.from_numpy(np.stack([a] * 2 * rows)).to(device) for a in (where.position, where.bias)
    ]
    schedule = times(steps, 1.0)
    solver = Multistep(schedule)
    for i, t in enumerate(schedule[:-1]):
        noisy = torch.from_numpy(np.concatenate((x, x))).to(device)
        with torch.no_grad():
            at = torch.full((2 * rows,), t, device=device)
            clean = denoiser(noisy, at, text, *fixed).cpu().numpy()
        x = solver.step(x, guide(clean[:rows], clean[rows:], guidance), i)
    return (where.unpatchify(x).clip(-1, 1) * 127.5 + 127.5).round().astype(np.uint8)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--weights", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--prompts", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--coarse", action="store_true", help="the run was trained with --coarse")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--columns", type=int, default=6)
    args = p.parse_args()
    prompts = read_prompts(args.prompts)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = CaptionEncoder(args.weights, device)(prompts).astype(np.float32)
    denoiser, trained = load_denoiser(args.run)
    denoiser.to(device)
    where = (coarse_canvas if args.coarse else canvas)(SIDE, SIDE)
    parts = [texts[i : i + 8] for i in range(0, len(texts), 8)]
    images = [a for part in parts for a in draw(denoiser, where, part, args.steps, args.guidance)]
    large = [np.asarray(Image.fromarray(a).resize((256, 256))) for a in images]
    sheet(list(zip(prompts, large, strict=True)), args.columns, 256).save(args.out)
    print(trained)


if __name__ == "__main__":
    main()
