"""Restores the denoiser from exported weights, with rows for names that are new in the table.

    python -m training.restore --weights FOLDER --out PARTS

Training starts from the parts with `--start`. The export folds some parameters into constants. The
folded keys of the names are split again into what their meanings explain (ridge regression) and
what is their own. New names come after all others but the glowing mushroom.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daguerre.models.embedded.fields import FIELDS
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.openvino import ov
from training.checkpoints import save_parts
from training.dataset import name_meanings
from training.ir import read_parameters
from training.network import NUM_NAMES, Denoiser, DenoiserConfig
from training.text_encoder import CaptionEncoder

RIDGE = 0.1  # times the number of names
Array = NDArray[np.float32]


def restore(folder: Path, names: Tensor) -> Denoiser:
    """The exported denoiser of `folder`; `names` (NUM_NAMES, 384) are the names' meanings."""
    parameters = read_parameters(folder / "denoiser.xml")
    denoiser = Denoiser(DenoiserConfig(), names)
    state = denoiser.state_dict()
    num_new = NUM_NAMES - _num_names(parameters)
    parameters["embed_field.weight"] = _widened(parameters["embed_field.weight"], num_new)
    parameters |= _folded(folder, names.numpy(), num_new)
    for name, value in state.items():
        if name not in ("names", "starts"):
            state[name] = torch.from_numpy(parameters[name]).reshape(value.shape)
    denoiser.load_state_dict(state)
    return denoiser.eval()


def _num_names(parameters: Mapping[str, Array]) -> int:
    """The number of names that the weights know."""
    others = sum(len(field.values) + 1 for field in FIELDS if field.name != "name")
    num_names, rest = divmod(len(parameters["embed_field.weight"]) - others, 3)
    assert rest == 0, "the weights have other fields"
    return num_names - 1


def _widened(table: Array, num_new: int) -> Array:
    """The embeddings of all fields' values; new names get the mean of the known ones."""
    parts, start = [], 0
    for field in FIELDS:
        size = len(field.values) + 1
        if field.name == "name":
            size -= num_new
            known = table[start : start + size - 2]
            new = np.repeat(known[1:].mean(axis=0, keepdims=True), num_new, axis=0)
            parts += [known, new, table[start + size - 2 : start + size]]
        else:
            parts.append(table[start : start + size])
        start += size
    return np.concatenate(parts)


def _folded(folder: Path, names: Array, num_new: int) -> dict[str, Array]:
    """The parameters that the export folds into constants."""
    ops = {
        op.get_friendly_name(): op for op in ov.Core().read_model(folder / "denoiser.xml").get_ops()
    }
    known = _input(ops["aten::index/Gather"])[:-1]  # without the mask
    keys = _input(ops["aten::matmul/MatMul"])
    old = np.delete(names, np.s_[len(names) - 1 - num_new : len(names) - 1], axis=0)
    embed = np.linalg.lstsq(old, known, rcond=None)[0]
    gram = old.T @ old + RIDGE * len(old) * np.eye(old.shape[1], dtype=np.float32)
    key = np.linalg.solve(gram, old.T @ keys)
    own = np.insert(keys - old @ key, [len(old) - 1] * num_new, 0, axis=0)
    kinds = [_input(ops[f"aten::add/Add_{number}"]).reshape(-1) for number in (6, 7)]
    return {
        "embed_name.weight": embed.T,
        "key_name.weight": key.T,
        "own_name.weight": own,
        "slot": _input(ops["aten::add/Add_4"]),
        "text_kind": np.stack(kinds),
    }


def _input(op: ov.Node) -> Array:
    """The constant that an operation takes."""
    for value in op.inputs():
        found = _constant(value.get_source_output().get_node())
        if found is not None:
            return found
    raise ValueError(f"{op.get_friendly_name()} takes no constant")


def _constant(node: ov.Node) -> Array | None:
    """The value of a node that depends on no input of the network."""
    kind = node.get_type_name()
    if kind == "Constant":
        is_weight = node.get_element_type() in (ov.Type.f32, ov.Type.f16, ov.Type.i8)
        return node.get_data().astype(np.float32) if is_weight else None
    if kind not in ("Convert", "Multiply"):
        return None
    parts = [_constant(node.input_value(i).get_node()) for i in range(node.get_input_size())]
    return None if any(part is None for part in parts) else np.asarray(math.prod(parts))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    denoiser = restore(args.weights, name_meanings(CaptionEncoder(args.weights)))
    trained = {"captions": 0, "steps": 0, "seconds": 0.0}
    save_parts(args.out, denoiser.config, denoiser.state_dict(), trained)


if __name__ == "__main__":
    main()
