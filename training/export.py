"""Writes what the server loads: the denoiser for OpenVINO, the rules of its fields, model.json.

    python -m training.export --run training/runs/first --data DIR --out FOLDER

Matrices are int8 in the file, other weights float16. Knows the checkpoints' format and the inputs'
names; nothing of training. All inputs of the denoiser have static shapes but for the rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import MASKED
from daguerre.models.embedded.model import weights_sha256
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from daguerre.models.openvino import ov
from training.checkpoints import load_denoiser
from training.compression import compress
from training.network import Denoiser


def export_denoiser(denoiser: Denoiser, out: Path) -> None:
    example = {
        "tokens": torch.from_numpy(np.stack((MASKED, MASKED))),
        "text": torch.randn(2, 1 + NUM_SLOTS, TEXT_WIDTH),
        "negative": torch.randn(2, 1 + NUM_SLOTS, TEXT_WIDTH),
        "shape": torch.zeros(2, dtype=torch.int64),
    }
    model = ov.convert_model(denoiser.eval(), example_input=example)
    model.reshape({name: [-1, *value.shape[1:]] for name, value in example.items()})
    model.output(0).get_tensor().set_names({"logits"})
    compress(model)
    ov.save_model(model, out / "denoiser.xml", compress_to_fp16=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True, help="the scenes that teach the rules")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--created", type=int, required=True, help="Unix seconds")
    p.add_argument("--name", default="daguerre flat 3")
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.5)
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    denoiser, trained = load_denoiser(args.run)
    export_denoiser(denoiser, args.out)
    tokens = np.load(args.data / "scenes.npz")["tokens"].astype(np.int64)
    np.savez_compressed(args.out / "rules.npz", **CompatibilityTables.learn(tokens).arrays())
    card = {
        "name": args.name,
        "created": args.created,
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "temperature": args.temperature,
        "weights_sha256": weights_sha256(args.out),
        "trained": trained,
    }
    (args.out / "model.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
