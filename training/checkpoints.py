"""Saved denoisers: the checkpoint of a run, or the parts of a run that was copied.

A run's checkpoint resumes training exactly. Parts have only the averaged weights, in float16 and in
files small enough to send; a run that starts from them has fresh momentum. OpenVINO is not needed.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from training.network import Denoiser, DenoiserConfig

PART_BYTES = 15 * 2**20
Trained = dict[str, float]  # how much was trained: captions, steps, seconds


def load_denoiser(run: Path) -> tuple[Denoiser, Trained]:
    """The averaged weights of a run, or of its parts."""
    if (run / "checkpoint.pt").exists():
        return _denoiser(torch.load(run / "checkpoint.pt", map_location="cpu"))
    return load_parts(run)


def save_parts(
    folder: Path, config: DenoiserConfig, weights: dict[str, Tensor], trained: Trained
) -> None:
    """Writes part-0, part-1 ... of at most `PART_BYTES` each."""
    half = {
        name: value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        for name, value in weights.items()
    }
    file = io.BytesIO()
    torch.save({"ema": half, "config": vars(config), **trained}, file)
    whole = file.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part-*"):
        old.unlink()
    for start in range(0, len(whole), PART_BYTES):
        part = whole[start : start + PART_BYTES]
        (folder / f"part-{start // PART_BYTES}").write_bytes(part)


def load_parts(folder: Path) -> tuple[Denoiser, Trained]:
    parts = sorted(folder.glob("part-*"), key=lambda path: int(path.name.split("-")[1]))
    if not parts:
        raise SystemExit(f"{folder} has neither checkpoint.pt nor part-0")
    whole = b"".join(part.read_bytes() for part in parts)
    return _denoiser(torch.load(io.BytesIO(whole), map_location="cpu"))


def _denoiser(state: dict) -> tuple[Denoiser, Trained]:  # type: ignore[type-arg]
    denoiser = Denoiser(DenoiserConfig(**state["config"]))
    weights = {k: v.float() if v.is_floating_point() else v for k, v in state["ema"].items()}
    denoiser.load_state_dict(weights)
    return denoiser.eval(), {k: state[k] for k in ("captions", "steps", "seconds")}
