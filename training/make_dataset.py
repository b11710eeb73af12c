"""Writes the training set: the tokens of scenes and the words for them.

    python -m training.make_dataset --out DIR --num 200000

DIR/scenes.npz holds tokens (N, F) int16 and shapes (N,) int8 (`fields`); DIR/captions.json a
caption and DIR/negatives.json a negative prompt for each. Every scene has its own seed, so a longer
set begins with the shorter one, and the result does not depend on the number of workers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import time
from itertools import chain, starmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import SHAPES, Scene
from training import phrasing, scenes
from training.captions import caption
from training.negating import negated

SQUARE_SHARE = 0.4  # of all scenes; the other shapes have the rest in equal parts
RUN = 2000  # scenes that a worker makes before it reports
Row = tuple[NDArray[np.int16], int, str, str]  # tokens (F,), shape, caption, negative prompt


def make(seed: int, index: int) -> tuple[Scene, str, str]:
    """A scene, a caption and a negative prompt; depends on the arguments alone."""
    rng = np.random.default_rng((seed, index))
    at = 0 if rng.random() < SQUARE_SHARE else int(rng.integers(1, len(SHAPES)))
    scene = scenes.sample_scene(rng, SHAPES[at])
    if rng.random() < phrasing.JUNK_SHARE:
        return scene, phrasing.junk(rng), ""
    words = phrasing.asked(caption(scene, rng), rng)
    r = random.Random(int(rng.integers(2**63)))
    found, negative = negated(scene, r, lambda: phrasing.junk(rng))
    return found, words, negative


def _make_run(seed: int, start: int, stop: int) -> list[Row]:
    rows = []
    for scene, words, negative in (make(seed, i) for i in range(start, stop)):
        tokens = fields.encode(scene).astype(np.int16)
        rows.append((tokens, fields.SHAPE_INDEX[scene.width, scene.height], words, negative))
    return rows


def write(out: Path, num: int, seed: int, workers: int = 1) -> None:
    """One worker is this process; more start afresh, without the threads of what is loaded here."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    jobs = [(seed, start, min(num, start + RUN)) for start in range(0, num, RUN)]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            rows = list(chain.from_iterable(pool.starmap(_make_run, jobs)))
    else:
        rows = list(chain.from_iterable(starmap(_make_run, jobs)))
    tokens, shapes, captions, negatives = zip(*rows, strict=True)
    np.savez_compressed(
        out / "scenes.npz", tokens=np.stack(tokens), shapes=np.array(shapes, np.int8)
    )
    (out / "captions.json").write_text(json.dumps(captions))
    (out / "negatives.json").write_text(json.dumps(negatives))
    print(f"{num} scenes in {time.perf_counter() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="write the training set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    os.nice(10)
    write(args.out, args.num, args.seed, args.workers)


if __name__ == "__main__":
    main()
