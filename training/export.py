"""Writes what the server loads: OpenVINO networks with float16 weights, and model.json.

    python -m training.export --run training/runs/first --decoder training/runs/decoder --out FOLDER

Knows the checkpoints' format and the inputs' names; nothing of training. The exported denoiser
has static shapes but for the rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from daguerre.models.embedded.canvas import NUM_PATCHES, PATCH_VALUES, POSITION_WIDTH
from daguerre.models.embedded.model import weights_sha256
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from training.decoder import Decoder
from training.network import Denoiser, DenoiserConfig


class Inference(nn.Module):
    """The denoiser with the serving inputs only, in their order."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, patches: Tensor, t: Tensor, text: Tensor, position: Tensor, bias: Tensor):  # type: ignore[no-untyped-def]
        return self.denoiser(patches, t, text, position, bias)


def export_denoiser(denoiser: Denoiser, out: Path) -> None:
    example = {
        "patches": torch.randn(2, NUM_PATCHES, PATCH_VALUES),
        "t": torch.rand(2),
        "text": torch.randn(2, 1 + NUM_SLOTS, TEXT_WIDTH),
        "position": torch.randn(2, NUM_PATCHES, POSITION_WIDTH),
        "bias": torch.zeros(2, NUM_PATCHES),
    }
    model = ov.convert_model(Inference(denoiser.eval()), example_input=example)
    model.reshape({name: [-1, *value.shape[1:]] for name, value in example.items()})
    model.output(0).get_tensor().set_names({"clean"})
    ov.save_model(model, out / "denoiser.xml", compress_to_fp16=True)


def export_decoder(decoder: Decoder, out: Path) -> None:
    model = ov.convert_model(decoder.eval(), example_input=torch.rand(1, 128, 128, 3))
    model.reshape([-1, -1, -1, 3])
    model.input(0).get_tensor().set_names({"canvas"})
    model.output(0).get_tensor().set_names({"pixels"})
    ov.save_model(model, out / "decoder.xml", compress_to_fp16=True)


VECTORS = Path(__file__).parent / "start" / "vectors.npz"


def save_vectors(denoiser: Denoiser, file: Path) -> None:
    """What `load_shipped` cannot find in the exported network, in which OpenVINO folds biases."""
    small = {k: v.numpy() for k, v in denoiser.state_dict().items() if not _is_named(k, v)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **small)


def _is_named(name: str, value: Tensor) -> bool:
    """Matrices of layers keep their names in the exported network."""
    return value.ndim == 2 and name.endswith(".weight")


def load_shipped(weights: Path, vectors: Path = VECTORS) -> Denoiser:
    """The denoiser that is shipped, to train it further: float16 matrices, float32 vectors."""
    state = {name: torch.from_numpy(value) for name, value in np.load(vectors).items()}
    prefix, suffix = "self.denoiser.", "_compressed"
    for op in ov.Core().read_model(weights / "denoiser.xml").get_ops():
        name = op.get_friendly_name()
        if name.startswith(prefix) and op.get_type_name() == "Constant":
            matrix = torch.from_numpy(op.get_data().astype(np.float32))
            state[name.removeprefix(prefix).removesuffix(suffix)] = matrix
    width = state["embed_patch.weight"].shape[0]
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    denoiser = Denoiser(DenoiserConfig(width=width, depth=depth, heads=width // 64))
    denoiser.load_state_dict(state)
    return denoiser


def load_denoiser(run: Path) -> tuple[Denoiser, dict[str, float]]:
    """The averaged weights of a run, and how much was trained."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu")
    denoiser = Denoiser(DenoiserConfig(**state["config"]))
    denoiser.load_state_dict(state["ema"])
    return denoiser, {k: state[k] for k in ("images", "steps", "seconds")}


def load_decoder(run: Path) -> Decoder:
    decoder = Decoder()
    decoder.load_state_dict(torch.load(run / "decoder.pt", map_location="cpu")["model"])
    return decoder


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--decoder", type=Path, required=True)
    p.add_argument("--out", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--vectors", type=Path, default=VECTORS, help="for training further")
    p.add_argument("--name", default="daguerre flat 1", help="what the provenance calls it")
    p.add_argument("--created", type=int, required=True, help="unix seconds, a fact of the weights")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--shift", type=float, default=1.0, help="above 1: more steps near the noise")
    args = p.parse_args()
    denoiser, trained = load_denoiser(args.run)
    export_denoiser(denoiser, args.out)
    save_vectors(denoiser, args.vectors)
    export_decoder(load_decoder(args.decoder), args.out)
    facts = {
        "name": args.name,
        "created": args.created,
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "time_shift": args.shift,
        "weights_sha256": weights_sha256(args.out),
        "trained": trained,
    }
    (args.out / "model.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
