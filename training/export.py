"""Writes what the server loads: OpenVINO networks with float16 weights, and model.json.

    python -m training.export --run training/runs/first --decoder training/runs/decoder --out FOLDER

Knows the checkpoints' format and the inputs' names; nothing of training. The exported denoiser
has static shapes but for the rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor, nn

from daguerre.models.embedded.canvas import NUM_PATCHES, PATCH_VALUES, POSITION_WIDTH
from daguerre.models.embedded.model import weights_sha256
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from training.checkpoints import load_denoiser
from training.decoder import Decoder
from training.network import Denoiser


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


def load_decoder(run: Path) -> Decoder:
    decoder = Decoder()
    decoder.load_state_dict(torch.load(run / "decoder.pt", map_location="cpu")["model"])
    return decoder


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--decoder", type=Path, required=True)
    p.add_argument("--out", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--name", default="daguerre flat 2", help="what the provenance calls it")
    p.add_argument("--created", type=int, required=True, help="unix seconds, a fact of the weights")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--shift", type=float, default=1.0, help="above 1: more steps near the noise")
    args = p.parse_args()
    denoiser, trained = load_denoiser(args.run)
    export_denoiser(denoiser, args.out)
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
