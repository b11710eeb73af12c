"""Adds the names that are new in the table of things to exported weights, without training.

    python -m training.new_names --out FOLDER

The network finds a new name by its meaning alone, but may prefer a similar known one: "baseball
bat" gave a bat. Only the own parts of the new names' keys are fitted, by logistic regression on the
network's queries for captions of all names. So the logits of the known names do not change.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.fields import (
    AT,
    FIELDS,
    MASKED,
    OBJECT_FIELDS,
)
from daguerre.models.embedded.model import WEIGHTS, weights_sha256
from training.dataset import name_meanings
from training.export import export_denoiser
from training.grammar import with_article
from training.layout import Layout
from training.network import Denoiser, rms
from training.restore import restore, restored_rules
from training.text_encoder import CaptionEncoder

NAMES = OBJECT_FIELDS["name"]
ASKS = ("{}", "{}", "a photo of {}", "show me {}", "there is {}")
PAIRS = ("{} and {}", "{} next to {}", "{} to the left of {}", "a photo of {} and {}")
NUM_KNOWN, NUM_NEW = 6, 60  # captions of each name
STEPS, RATE, DECAY = 300, 0.05, 1e-4
BATCH = 128

Encode = Callable[[Sequence[str]], NDArray[np.float16]]


@dataclass(frozen=True)
class Question:
    """A caption, the scene decided so far (F,), and the slot and name that come next."""

    caption: str
    tokens: NDArray[np.int64]
    slot: int
    name: str


def questions(new: Collection[str]) -> Iterator[Question]:
    """Captions of one and two objects, more of them for new names."""
    r = random.Random(5)
    rows = [thing for thing in things.THINGS if things.looks(thing)]
    for thing in rows:
        for i in range(NUM_NEW if thing.name in new else NUM_KNOWN):
            said = with_article(r.choice((thing.name, thing.name, *thing.synonyms)))
            if i % 3 == 0:
                yield Question(r.choice(ASKS).format(said), _decided("thing"), 1, thing.name)
                continue
            other = r.choice(rows)
            pair, second = [said, with_article(other.name)], i % 3 == 2
            text = r.choice(PAIRS).format(*(reversed(pair) if second else pair))
            tokens = _decided("pair", other.name if second else "")
            yield Question(text, tokens, 1 + second, thing.name)


def _decided(kind: str, first: str = "") -> NDArray[np.int64]:
    """The fields that the sampler decides before the name."""
    tokens = MASKED.copy()
    said = {"kind": kind, "terrain": "", **({"setting": "", "relation": "and"} if first else {})}
    for name, value in said.items():
        tokens[AT[0, name]] = FIELDS[AT[0, name]].index[value]
    if first:
        tokens[AT[1, "name"]] = NAMES.index(first)
    return tokens


@torch.no_grad()
def queries(denoiser: Denoiser, asked: Sequence[Question], encode: Encode) -> Tensor:
    """(len(asked), C): what the network looks for in the slot of each question."""
    found = []
    known, _ = denoiser.name_tables()
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        text = torch.from_numpy(encode([q.caption for q in some]).astype(np.float32))
        memories, bias = denoiser.read(text, torch.zeros_like(text[:, :1]))
        tokens = torch.from_numpy(np.stack([q.tokens for q in some]))
        shape = torch.zeros(len(some), dtype=torch.long)
        x = denoiser.states(tokens, shape, memories, bias, known)
        slots = torch.tensor([q.slot for q in some])
        found.append(rms(denoiser.ask_name(x[torch.arange(len(some)), slots])))
    return torch.cat(found)


def fit(denoiser: Denoiser, new: Sequence[str], encode: Encode) -> None:
    """Fits the keys of new names in place."""
    asked = list(questions(new))
    query = queries(denoiser, asked, encode)
    target = torch.tensor([NAMES.index(q.name) for q in asked])
    places = torch.tensor([NAMES.index(name) for name in new])
    with torch.no_grad():
        meant = denoiser.key_name(denoiser.names)
        keys = rms(meant + denoiser.own_name.weight)
    own = denoiser.own_name.weight[places].detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([own], RATE)
    scale = 4 / denoiser.config.width**0.5
    for _ in range(STEPS):
        every = keys.index_copy(0, places, rms(meant[places] + own))
        loss = F.cross_entropy(query @ every.T * scale, target) + DECAY * own.square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        denoiser.own_name.weight[places] = own


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS, help="weights without the new names")
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    shutil.copytree(args.weights, args.out, dirs_exist_ok=True)
    known = Layout.read(args.weights).objects["name"]
    new = [name for name in NAMES if name not in known]
    encoder = CaptionEncoder(args.weights)
    denoiser = restore(args.weights, name_meanings(encoder))
    fit(denoiser, new, encoder)
    export_denoiser(denoiser, args.out)
    np.savez_compressed(args.out / "rules.npz", **restored_rules(args.weights))
    card = json.loads((args.out / "model.json").read_text())
    card["weights_sha256"] = weights_sha256(args.out)
    (args.out / "model.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
