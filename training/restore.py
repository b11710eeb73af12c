"""Restores the denoiser from exported weights, for the fields and names of today.

    python -m training.restore --weights FOLDER --out PARTS

Training starts from the parts with `--start`. Rows are found by the names of fields and values
(`training.layout`); values that the weights do not know start from a mean, and are unlikely until
they are trained. `rules.npz` beside the parts permits no new value. The keys of the names are split
into what their meanings explain (ridge regression) and what is their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daguerre.models.embedded.compatibility import generalized
from daguerre.models.embedded.fields import OBJECT_FIELDS
from daguerre.models.embedded.model import WEIGHTS
from training.checkpoints import save_parts
from training.dataset import name_meanings
from training.ir import read_parameters
from training.layout import Layout, Row, Transfer
from training.network import Denoiser, DenoiserConfig
from training.text_encoder import CaptionEncoder

RIDGE = 0.1  # times the number of names
UNLIKELY = 4.0  # how far the logits of a new value are below the mean of its field
Array = NDArray[np.float32]
State = Mapping[str, Array]
Tables = Mapping[str, NDArray[np.bool_]]


def restore(folder: Path, names: Tensor) -> Denoiser:
    """The exported denoiser of `folder`; `names` (NUM_NAMES, 384) are the names' meanings."""
    with np.load(folder / "unprompted.npz") as arrays:
        _, depth, heads, _, size = arrays["keys"].shape
    config = DenoiserConfig(width=heads * size, depth=depth, heads=heads)
    return transferred(read_state(folder), config, Layout.read(folder), names)


def read_state(folder: Path) -> dict[str, Array]:
    """The parameters of exported weights in their own layout, with the tables of names."""
    found = read_parameters(folder / "reader.xml") | read_parameters(folder / "denoiser.xml")
    return {name.removeprefix("denoiser."): value for name, value in found.items()}


def transferred(state: State, config: DenoiserConfig, source: Layout, names: Tensor) -> Denoiser:
    """A denoiser of today's layout with parameters of the layout `source`."""
    transfer = Transfer(source, Layout.current())
    denoiser = Denoiser(config, names)
    found = {**state, **_names(state, transfer, names.numpy()), **_heads(state, transfer)}
    found["embed_field.weight"] = _embeddings(state["embed_field.weight"], transfer)
    wanted = denoiser.state_dict()
    for name in ("prompt_slot", "negative_slot"):
        found[name] = _lengthened(state[name], len(wanted[name]))
    for name, value in wanted.items():
        if name not in ("names", "starts"):
            wanted[name] = torch.from_numpy(found[name]).reshape(value.shape)
    denoiser.load_state_dict(wanted)
    return denoiser.eval()


def _lengthened(rows: Array, length: int) -> Array:
    """`length` rows; those that are new are the last one again."""
    return rows[np.minimum(np.arange(length), len(rows) - 1)]


def _embeddings(table: Array, transfer: Transfer) -> Array:
    """The embeddings of all values and masks: of a new value the mean of its field's values, of a
    new field zero, which changes nothing."""
    rows = transfer.target.embedded_rows()
    places = transfer.places(transfer.source.embedded_rows(), rows)
    return _filled(table, places, rows)


def _filled(table: Array, places: NDArray[np.int64], rows: list[Row]) -> Array:
    """Rows of the table; new ones are the mean of the known values of their field, or zero."""
    out = np.where(places[:, None] >= 0, table[places], 0)
    start = 0
    for _, group in groupby(rows, key=lambda row: row[:2]):
        size = len(list(group))
        mine = places[start : start + size]
        values = mine[1:-1][mine[1:-1] >= 0]  # without "" and the mask, or the last value
        if len(values):
            out[start : start + size][mine < 0] = table[values].mean(axis=0)
        start += size
    return out


def _heads(state: State, transfer: Transfer) -> dict[str, Array]:
    """The heads of all slots; new values are unlikely, and a new field is most likely empty."""
    found = {}
    for slot in range(1 + transfer.target.num_objects):
        before = min(slot, transfer.source.num_objects)
        rows = transfer.target.plain_rows(slot)
        places = transfer.places(transfer.source.plain_rows(before), rows)
        weight, bias = (state[f"heads.{before}.{name}"] for name in ("weight", "bias"))
        biases = _filled(bias.reshape(-1, 1), places, rows)[:, 0]
        has_value = np.array([bool(value) for _, _, value in rows])
        biases[(places < 0) & has_value] -= UNLIKELY
        found[f"heads.{slot}.weight"] = _filled(weight, places, rows)
        found[f"heads.{slot}.bias"] = biases
    return found


def _names(state: State, transfer: Transfer, names: Array) -> dict[str, Array]:
    """What the names add to their slots, and their keys, from what they mean and their own part."""
    before = transfer.source.objects["name"]
    at = {name: i for i, name in enumerate(before)}
    places = np.array([at.get(name, -1) for name in OBJECT_FIELDS["name"]])
    is_known = places >= 0
    meant, chosen = names[is_known], places[is_known]
    known, keys = state["known_names"][chosen], state["name_keys"][chosen]
    gram = meant.T @ meant + RIDGE * len(meant) * np.eye(meant.shape[1], dtype=np.float32)
    embed, key = (np.linalg.solve(gram, meant.T @ table) for table in (known, keys))
    own = np.zeros((len(names), keys.shape[1]), np.float32)
    own[is_known] = keys - meant @ key
    rest = np.zeros((len(names) + 1, known.shape[1]), np.float32)
    rest[:-1][is_known] = known - meant @ embed
    rest[-1] = state["known_names"][-1]  # the mask
    return {
        "embed_name.weight": embed.T,
        "key_name.weight": key.T,
        "own_name.weight": own,
        "rest_of_name.weight": rest,
    }


def restored_rules(folder: Path) -> dict[str, NDArray[np.bool_]]:
    """The tables of `folder` in today's layout."""
    with np.load(folder / "rules.npz") as arrays:
        return transferred_rules(dict(arrays), Layout.read(folder))


def transferred_rules(tables: Tables, source: Layout) -> dict[str, NDArray[np.bool_]]:
    """Tables of compatible values in today's layout.

    Of new values only names and colours are permitted. A new field, or a new object, is empty.
    """
    target = Layout.current()
    transfer = Transfer(source, target)
    rows, before = target.rows(), source.rows()
    places = transfer.places(before, rows)
    for i, (slot, name, value) in enumerate(rows):
        if slot > source.num_objects:
            places[i] = -1
        if (slot > source.num_objects or not transfer.is_known(slot, name)) and not value:
            places[i] = len(before)  # a column that is always permitted
    found = {}
    for stored, table in tables.items():
        slot, name = int(stored.split("-")[0]), stored.split("-")[1]
        values = [(slot, name, value) for value in target.of_slot(slot)[name]]
        mine = transfer.places([(slot, name, v) for v in source.of_slot(slot)[name]], values)
        wide = np.pad(table, ((0, 1), (0, 2)))  # the last row and column permit nothing
        wide[:, -2] = True
        wide[-1] = False
        found[stored] = generalized(wide[np.ix_(mine, places)])
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    denoiser = restore(args.weights, name_meanings(CaptionEncoder(args.weights, device)))
    trained = {"captions": 0, "steps": 0, "seconds": 0.0}
    save_parts(args.out, denoiser.config, denoiser.state_dict(), trained)
    np.savez_compressed(args.out / "rules.npz", **restored_rules(args.weights))


if __name__ == "__main__":
    main()
