"""Denoisers from where they are kept: a run, what is shipped, or the parts of a run that travelled.

A run's checkpoint has all that is needed to go on exactly. Parts hold the averaged weights alone,
in float16 and in files that are small enough to be sent: a run that starts from them goes on with
fresh momentum. Nothing here needs OpenVINO.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from training.ir import read_parameters
from training.network import Denoiser, DenoiserConfig

PART_BYTES = 15 * 2**20
Trained = dict[str, float]  # how much was trained: images, steps, seconds


def load_start(folder: Path) -> Denoiser:
    """From a run, from parts or from exported weights, whichever lies there."""
    if (folder / "checkpoint.pt").exists():
        return load_denoiser(folder)[0]
    if (folder / "part-0").exists():
        return load_parts(folder)[0]
    return load_shipped(folder)


def load_denoiser(run: Path) -> tuple[Denoiser, Trained]:
    """The averaged weights of a run, or of its parts."""
    if not (run / "checkpoint.pt").exists():
        return load_parts(run)
    return _denoiser(torch.load(run / "checkpoint.pt", map_location="cpu"))


def load_shipped(weights: Path) -> Denoiser:
    """The denoiser of the server, to train it further."""
    prefix = "denoiser."
    state = {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in read_parameters(weights / "denoiser.xml").items()
    }
    # The slots' vectors and the layer's bias are added to the same words: one of them is enough.
    state["text_slot"] = state.pop("sum")[0]
    state["embed_text.bias"] = torch.zeros(state["text_slot"].shape[1])
    width = state["embed_patch.weight"].shape[0]
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    denoiser = Denoiser(DenoiserConfig(width=width, depth=depth, heads=width // 64))
    shapes = {name: value.shape for name, value in denoiser.state_dict().items()}
    denoiser.load_state_dict({name: state[name].reshape(shapes[name]) for name in shapes})
    return denoiser


def save_parts(
    folder: Path, config: DenoiserConfig, weights: dict[str, Tensor], trained: Trained
) -> None:
    """Writes part-0, part-1 ... of at most `PART_BYTES` each."""
    half = {name: value.detach().cpu().half() for name, value in weights.items()}
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
    whole = b"".join(part.read_bytes() for part in parts)
    return _denoiser(torch.load(io.BytesIO(whole), map_location="cpu"))


def _denoiser(state: dict) -> tuple[Denoiser, Trained]:  # type: ignore[type-arg]
    denoiser = Denoiser(DenoiserConfig(**state["config"]))
    denoiser.load_state_dict({name: value.float() for name, value in state["ema"].items()})
    return denoiser, {k: state[k] for k in ("images", "steps", "seconds")}
