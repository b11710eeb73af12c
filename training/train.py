"""Trains the denoiser on scenes made by make_dataset.py; resumable, on a CPU or a CUDA device.

python -m training.train --data DIR --run training/runs/first --minutes 60

Every call continues from RUN/checkpoint.pt if it exists. The learning rate falls to zero over the
last part of the whole budget: repeat --minutes (or --captions) to continue a plan, or increase it
to extend the plan.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from daguerre.models.embedded.fields import FIELDS, MASKED, NUM_LOGITS, ORDER, STARTS
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.text import HIDDEN
from training.checkpoints import load_denoiser, save_parts
from training.dataset import LENGTHS, Batch, Dataset, name_meanings
from training.muon import Muon
from training.network import NAME_FIELDS, PLAIN_FIELDS, Denoiser, DenoiserConfig
from training.text_encoder import CaptionEncoder

# How much counts what the sampler would decide next, and what it would decide later.
NEXT, LATER, NUM_NEXT = 1.0, 0.3, 12
SAID = 2.0  # and what captions nearly always say: names and colours
MAX_BLUR = 0.5  # deviation of the noise on the text, whose values are about 1 in the mean square
IN_ORDER_SHARE = 0.7  # of masks are those of the sampler; the others are any


def draw_masks(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The masked fields (rows, F) bool, and the weight of each in the loss (rows, F).

    In most rows the first fields of `ORDER` are decided, as many as in a sampler with quadratic
    steps. In the others random fields are, so that the network learns which values go together.
    """
    num = len(FIELDS)
    place = torch.empty(num, dtype=torch.long)
    place[torch.tensor(ORDER)] = torch.arange(num)  # of each field in the order
    share = torch.rand(rows, 1, generator=generator)
    known = (share**2 * num).floor()
    in_order = torch.rand(rows, 1, generator=generator) < IN_ORDER_SHARE
    scattered = torch.rand(rows, num, generator=generator) >= share
    masked = torch.where(in_order, place >= known, scattered)
    is_later = in_order & (place >= known + NUM_NEXT)
    said = torch.tensor([SAID if f.name in ("name", "colour") else 1.0 for f in FIELDS])
    return masked, torch.where(is_later, LATER, NEXT) * said * masked


def blurred(text: Tensor, generator: torch.Generator) -> Tensor:
    """Text (B, T, 384) with noise of a strength of its own for each row on the tokens it has, so
    that words near to those of the captions mean the same."""
    level = MAX_BLUR * torch.rand(len(text), 1, 1, generator=generator)
    noise = torch.randn(text.shape, generator=generator)
    return text + level * noise * (text != 0)


def loss_of(logits: Tensor, tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean of the cross entropies, and (rows, F) of all fields.

    The fields without the names are evaluated together, padded to the longest.
    """
    rows, columns = len(logits), COLUMNS.to(logits.device)
    wide = F.pad(logits, (0, 1), value=HIDDEN).index_select(1, columns.flatten())
    wide = wide.view(rows * len(columns), -1)
    plain = F.cross_entropy(wide, tokens[:, list(PLAIN_FIELDS)].flatten(), reduction="none")
    named = [
        F.cross_entropy(logits[:, STARTS[i] : STARTS[i + 1]], tokens[:, i], reduction="none")
        for i in NAME_FIELDS
    ]
    both = torch.cat((plain.view(rows, -1), torch.stack(named, dim=1)), dim=1)
    entropy = both[:, np.argsort((*PLAIN_FIELDS, *NAME_FIELDS)).tolist()]
    return (entropy * weight).sum() / len(FIELDS) / len(tokens), entropy


def _columns() -> Tensor:
    """(fields without names, V): the logits of each; NUM_LOGITS where it has no more values."""
    spans = [torch.arange(int(STARTS[i]), int(STARTS[i + 1])) for i in PLAIN_FIELDS]
    return torch.nn.utils.rnn.pad_sequence(spans, batch_first=True, padding_value=NUM_LOGITS)


COLUMNS = _columns()


class Trainer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(args.seed)
        self.encoder = CaptionEncoder(args.weights, self.device.type)
        start = load_denoiser(args.start)[0] if args.start else None
        config = start.config if start else DenoiserConfig(args.width, args.depth)
        self.model = Denoiser(config, name_meanings(self.encoder)).to(self.device)
        if start:
            self.model.load_state_dict(start.state_dict())
        blocks = (*self.model.blocks, *self.model.text_blocks)
        matrices = [p for block in blocks for p in block.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.model.parameters() if id(p) not in chosen]
        self.muon = Muon(matrices, args.lr)
        self.adam = torch.optim.AdamW(rest, args.lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.captions, self.seconds, self.steps = 0, 0.0, 0
        self.run = Path(args.run)
        self.run.mkdir(parents=True, exist_ok=True)
        self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}
        if (self.run / "checkpoint.pt").exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.run / "checkpoint.pt", map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.ema = state["ema"]
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.captions, self.seconds = state["captions"], state["seconds"]
        self.steps = state["steps"]

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "ema": self.ema, "muon": self.muon.state_dict(),
                 "adam": self.adam.state_dict(), "captions": self.captions,
                 "seconds": self.seconds, "steps": self.steps,
                 "config": vars(self.model.config)}  # fmt: skip
        torch.save(state, self.run / "checkpoint.tmp")
        os.replace(self.run / "checkpoint.tmp", self.run / "checkpoint.pt")

    def progress(self) -> float:
        if self.args.captions:
            return self.captions / float(self.args.captions)
        return self.seconds / (60.0 * self.args.minutes)

    def learning_rate(self) -> float:
        warm = min(1.0, (self.steps + 1) / 60)
        cool = min(1.0, (1 - self.progress()) / self.args.cooldown)
        return float(self.args.lr * warm * max(cool, 0.0))

    def train(self, data: Dataset) -> None:
        generator = torch.Generator().manual_seed(self.args.seed + self.steps)
        data.generator.manual_seed(self.args.seed + self.steps)
        network = torch.compile(self.model, dynamic=False) if self.args.compile else self.model
        torch._dynamo.config.recompile_limit = 2 * len(LENGTHS)
        batches = data.batches(self.args.batch, self.args.splits)
        losses: list[float] = []
        stopped: list[int] = []
        last_save = time.time()
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        with open(self.run / "log.jsonl", "a") as log:
            while self.progress() < 1 and not stopped:
                started = time.time()
                losses.append(self._step(network, next(batches), generator))
                self.steps += 1
                self.captions += self.args.batch
                self.seconds += min(time.time() - started, 10.0)  # compiling is not training
                if self.steps % 25 == 0:
                    line = {
                        "step": self.steps,
                        "captions": self.captions,
                        "seconds": round(self.seconds),
                        "loss": round(float(np.mean(losses)), 5),
                        "lr": self.learning_rate(),
                    }
                    losses = []
                    print(json.dumps(line), file=log, flush=True)
                    print(line, flush=True)
                if time.time() - last_save > self.args.save_every:
                    self.save()
                    last_save = time.time()
        self.save()
        if self.args.parts:
            trained = {"captions": self.captions, "steps": self.steps, "seconds": self.seconds}
            save_parts(self.args.parts, self.model.config, self.ema, trained)

    def _step(
        self, network: torch.nn.Module, parts: list[Batch], generator: torch.Generator
    ) -> float:
        """`copies` scenes for each caption, the same one with other masks."""
        for optimizer in (self.muon, self.adam):
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate()
        size = sum(len(tokens) for tokens, *_ in parts)
        loss = sum(self._gradients(network, part, generator, size) for part in parts)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.muon.step()
        self.adam.step()
        self._average()
        return loss

    def _gradients(
        self, network: torch.nn.Module, part: Batch, generator: torch.Generator, size: int
    ) -> float:
        """Adds the gradients of a part of a batch of `size` captions; its share of the loss."""
        tokens, text, negative, shape = part
        text = blurred(text, generator)
        tokens = tokens.repeat_interleave(self.args.copies, dim=0)
        shape = shape.repeat_interleave(self.args.copies, dim=0)
        masked, weight = draw_masks(len(tokens), generator)
        seen = torch.where(masked, torch.from_numpy(MASKED), tokens)
        on = (a.to(self.device) for a in (seen, text, negative, shape, tokens, weight))
        seen, text, negative, shape, tokens, weight = on
        is_cuda = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_cuda):
            logits = network(seen, text, negative, shape)
        loss, _ = loss_of(logits.float(), tokens, weight)
        loss = loss * (len(text) / size)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.args.ema, (1 + self.steps) / (10 + self.steps))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--run", type=Path, required=True)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--start", type=Path, help="a run or its parts, which also decide the size")
    p.add_argument("--parts", type=Path, help="where to leave averaged weights in small files")
    p.add_argument("--minutes", type=float, default=60, help="of training in all")
    p.add_argument("--captions", type=int, default=0, help="in all, instead of --minutes")
    p.add_argument("--batch", type=int, default=128, help="captions in a step")
    p.add_argument(
        "--splits", type=int, default=4, help="of a step, each with captions of like length"
    )
    p.add_argument("--copies", type=int, default=3, help="of a scene, each with masks of its own")
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--cooldown", type=float, default=0.6)
    p.add_argument("--ema", type=float, default=0.997)
    p.add_argument("--width", type=int, default=256, help="without --start, also --depth")
    p.add_argument("--depth", type=int, default=5)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save-every", type=float, default=120, help="seconds")
    p.add_argument("--compile", action="store_true", help="for each length of a split, minutes")
    args = p.parse_args()
    trainer = Trainer(args)
    trainer.train(Dataset(args.data, trainer.encoder, args.seed))


if __name__ == "__main__":
    main()
