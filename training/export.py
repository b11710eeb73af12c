"""Writes what the server loads: the denoiser for OpenVINO, the rules of its fields, model.json.

    python -m training.export --run training/runs/first --data DIR --out FOLDER

Matrices are int8 in the file, other weights float16. Knows the checkpoints' format and the inputs'
names; nothing of training. Inputs have static shapes but for the rows and the prompt's length.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import MASKED
from daguerre.models.embedded.model import weights_sha256
from daguerre.models.embedded.text import NUM_NEGATIVE_SLOTS, NUM_SLOTS, TEXT_WIDTH
from daguerre.models.openvino import ov
from training.checkpoints import load_denoiser
from training.compression import compress
from training.layout import Layout
from training.network import Denoiser
from training.served import Reader, Steps, read_nothing

MEMORY = ("keys", "values", "bias")  # outputs of the reader and inputs of the denoiser


def export_denoiser(denoiser: Denoiser, out: Path) -> None:
    """Writes the reader, the steps, what they read of no prompt, and the layout of the fields."""
    reader, steps = Reader(denoiser.eval()), Steps(denoiser)
    text = torch.randn(2, 1 + NUM_SLOTS, TEXT_WIDTH)
    texts = {"text": text, "negative": text[:, : 1 + NUM_NEGATIVE_SLOTS]}
    with torch.no_grad():
        memory = dict(zip(MEMORY, reader(**texts), strict=True))
    scenes = {
        "tokens": torch.from_numpy(np.stack((MASKED, MASKED))),
        "shape": torch.zeros(2, dtype=torch.int64),
    }
    _save(reader, texts, MEMORY, out / "reader.xml", ["text"])
    _save(steps, {**scenes, **memory}, ("logits",), out / "denoiser.xml")
    keys, values = (array.numpy() for array in read_nothing(denoiser))
    np.savez(out / "unprompted.npz", keys=keys, values=values)
    Layout.current().write(out)


def _save(
    module: torch.nn.Module,
    example: dict[str, torch.Tensor],
    outputs: Sequence[str],
    file: Path,
    any_length: Sequence[str] = (),
) -> None:
    """Converts a module whose inputs have any number of rows, and some any length on axis 1."""
    model = ov.convert_model(module, example_input=example)
    model.reshape(
        {
            name: [-1, -1, *value.shape[2:]] if name in any_length else [-1, *value.shape[1:]]
            for name, value in example.items()
        }
    )
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    compress(model)
    ov.save_model(model, file, compress_to_fp16=True)


def _rules(data: Path | None, file: Path | None) -> Mapping[str, NDArray[np.bool_]]:
    """The tables that the scenes of `data` teach, or those of a file."""
    if data:
        tokens = np.load(data / "scenes.npz")["tokens"].astype(np.int64)
        return CompatibilityTables.learn(tokens).arrays()
    assert file is not None, "the parser requires one of them"
    with np.load(file) as arrays:
        return dict(arrays)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--run", type=Path, required=True)
    rules = p.add_mutually_exclusive_group(required=True)
    rules.add_argument("--data", type=Path, help="the scenes that teach the rules")
    rules.add_argument("--rules", type=Path, help="rules.npz of training.restore")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--created", type=int, required=True, help="Unix seconds")
    p.add_argument("--name", default="daguerre flat 5")
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.5)
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    denoiser, trained = load_denoiser(args.run)
    export_denoiser(denoiser, args.out)
    np.savez_compressed(args.out / "rules.npz", **_rules(args.data, args.rules))
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
