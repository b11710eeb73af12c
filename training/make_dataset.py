"""Writes the training set: for each shape one array of pictures and one list of captions.

    python -m training.make_dataset --out DIR --num 24000

DIR/<W>x<H>.npy holds (N, H / scale, W / scale, 3) uint8, where W and H are the full size that
the shape serves; DIR/<W>x<H>.json holds, for each picture, four captions and the scene's facts.
Every scene has its own seed, so the result does not depend on the number of workers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from training import assets, scenes
from training.captions import caption

CAPTIONS = 4
RUN = 64  # pictures that a worker draws before it reports
Record = dict[str, Any]
# array, seed, shape, start, stop, scale, iconic
Job = tuple[Path, int, tuple[int, int], int, int, int, bool]


def share(shape: tuple[int, int]) -> float:
    """The part of all pictures that has this shape."""
    return 0.40 if shape == (1024, 1024) else 0.075


def facts(scene: scenes.Scene) -> Record:
    """What evaluation needs to know of a scene.

    `relation` is that of the first thing to the second, or to all others where it is "between" or
    "and"; a count of 0 stands for a thing that is repeated all over.
    """
    return {
        "kind": scene.kind,
        "time": scene.time,
        "weather": scene.weather,
        "terrain": scene.terrain,
        "season": scene.season,
        "background": scene.background,
        "glow": scene.glow,
        "moon": scene.moon,
        "sun": scene.sun,
        "ground": scene.ground,
        "relation": scene.relation,
        "setting": scene.setting,
        "manner": scene.manner,
        "things": [
            {
                "name": t.name,
                "colour": t.colour,
                "count": t.count,
                "stature": t.stature,
                "spot": t.spot,
                "glowing": t.glowing,
                "is_reflected": t.is_reflected,
                "is_flying": t.place == "s" and scene.kind == "mixed",
            }
            for t in scene.things
        ],
    }


def make(
    seed: int, shape: tuple[int, int], index: int, scale: int, iconic: bool = False
) -> tuple[NDArray[np.uint8], Record]:
    """Picture (H / scale, W / scale, 3) uint8 and its record; depends on its arguments only."""
    rng = np.random.default_rng((seed, shape[0], shape[1], index))
    scene = scenes.sample_scene(rng, shape, iconic)
    picture = scenes.render(scene, shape[0] // scale, shape[1] // scale)
    words = [caption(scene, rng) for _ in range(CAPTIONS)]
    return picture, {"captions": words, **facts(scene)}


def _fill(job: Job) -> list[Record]:
    """Draw one run of a shape's pictures straight into its array."""
    path, seed, shape, start, stop, scale, iconic = job
    array = np.load(path, mmap_mode="r+")
    records = []
    for index in range(start, stop):
        array[index], record = make(seed, shape, index, scale, iconic)
        records.append(record)
    return records


def write(out: Path, num: int, scale: int, seed: int, workers: int, iconic: bool = False) -> None:
    """Write every shape's share of `num` pictures, at least one; an array's name tells it is done.

    The workers start afresh instead of as forks: a fork would inherit the threads of whatever
    the caller has loaded.
    """
    out.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for shape in scenes.SHAPES:
            n, (width, height) = max(1, round(num * share(shape))), shape
            name, began = f"{width}x{height}", time.perf_counter()
            part = out / f"{name}.npy.part"
            size = (n, height // scale, width // scale, 3)
            open_memmap(part, mode="w+", dtype=np.uint8, shape=size).flush()
            jobs = [
                (part, seed, shape, a, min(n, a + RUN), scale, iconic) for a in range(0, n, RUN)
            ]
            records = [record for run in pool.imap(_fill, jobs) for record in run]
            (out / f"{name}.json").write_text(json.dumps(records))
            part.rename(out / f"{name}.npy")
            print(f"{name}: {n} scenes in {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="write the training set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num", type=int, default=24000, help="pictures of all shapes together")
    parser.add_argument("--scale", type=int, default=8, help="the full size is divided by this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--iconic", action="store_true", help="the narrow domain of sample_scene")
    args = parser.parse_args()
    os.nice(10)
    assets.fetch()
    write(args.out, args.num, args.scale, args.seed, args.workers, args.iconic)


if __name__ == "__main__":
    main()
