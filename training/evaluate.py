"""How well exported weights follow prompts, read by `training.reader`; figures for the model card.

    python -m training.evaluate --weights FOLDER --reader DIR --images DIR --out figures.json

Every figure comes with the reader's own accuracy on rendered scenes, which bounds it. `plain` are
prompts in the simplest wording, `paraphrased` the wordings that the captions hold out. --images is
a folder of full-size scenes (training.make_dataset --scale 1), for sharpness and diversity.
"""

from __future__ import annotations

import argparse
import itertools
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import ImageParams
from training import reader as reading
from training import things
from training.captions import caption
from training.grammar import article, with_article
from training.reader import Facts, Reader, reduce
from training.scenes import Scene
from training.scenes.scene import Placed
from training.sheet import draw
from training.wording import TERRAIN_WORDS, TIME_NOUNS, TIME_PHRASES

SIZE = (1024, 1024)
TERRAINS = ("mountains", "desert", "forest", "sea", "beach", "city", "lake", "snowfield", "village")
TIMES = ("dawn", "day", "sunset", "dusk", "night")
COLOURED = ("flower", "heart", "car", "balloon", "butterfly", "rose", "tulip", "umbrella", "house")
COLOURS = ("red", "blue", "green", "yellow", "purple")
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A prompt and what must be read from its picture."""

    prompt: str
    expected: Facts


def _thing(name: str, colour: str = "") -> Scene:
    row = things.BY_NAME[name]
    item = Placed(name, things.looks(row)[0], colour, row.place, 1, 0.7, False)
    return Scene("thing", *SIZE, seed=1, things=(item,), background="white", ground="plain")


def _reworded(scene: Scene, needs: Iterable[tuple[str, ...]], seed: str) -> str:
    """A held-out wording that names each of the facts by one of its words."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    while True:
        text = caption(scene, rng, held_out=True)
        if all(any(word in text.lower() for word in words) for words in needs):
            return text


def cases(names: Iterable[str]) -> dict[str, dict[str, list[Case]]]:
    """Figure -> wording -> prompts."""
    found: dict[str, dict[str, list[Case]]] = {
        "thing": {"plain": [], "paraphrased": []},
        "place and time": {"plain": [], "paraphrased": []},
        "colour": {"plain": []},
        "background": {"plain": []},
    }
    for name in names:
        said = (name, *things.BY_NAME[name].synonyms)
        expected = {"thing": name}
        found["thing"]["plain"].append(Case(with_article(name), expected))
        text = _reworded(_thing(name), [said], name)
        found["thing"]["paraphrased"].append(Case(text, expected))
        for colour in ("white", "blue", "yellow"):
            text = f"{with_article(name)} on a {colour} background"
            case = Case(text, {"background": colour})
            found["background"]["plain"].append(case)
    for terrain, time in itertools.product(TERRAINS, TIMES):
        nouns = TERRAIN_WORDS[terrain][0]
        expected = {"terrain": terrain, "time": time}
        found["place and time"]["plain"].append(
            Case(f"{nouns[0]} {TIME_PHRASES[time][0]}", expected)
        )
        scene = Scene("landscape", *SIZE, seed=1, time=time, weather="clear", terrain=terrain)
        words = tuple(noun.removeprefix("the ").removeprefix("a ") for noun in nouns)
        hours = tuple(p.split()[-1] for p in (*TIME_PHRASES[time], *TIME_NOUNS[time]))
        text = _reworded(scene, [words, hours], terrain + time)
        found["place and time"]["paraphrased"].append(Case(text, expected))
    for name, colour in itertools.product(COLOURED, COLOURS):
        if name in names and things.BY_NAME[name].recolourable:
            found["colour"]["plain"].append(
                Case(f"{article(colour)} {colour} {name}", {"colour": colour})
            )
    return found


def score(
    paint: Callable[[ImageParams], Pixels], reader: Reader, groups: list[Case], num_seeds: int
) -> float:
    """The share of pictures in which all that was expected is read."""
    hits = []
    for case in groups:
        params = ImageParams("embedded", case.prompt)
        pictures = [reduce(paint(replace(params, seed=seed))) for seed in range(num_seeds)]
        for facts in reader.read(np.stack(pictures)):
            hits.append(all(facts[name] == value for name, value in case.expected.items()))
    return round(float(np.mean(hits)), 3)


def negative(
    paint: Callable[[ImageParams], Pixels], reader: Reader, num_seeds: int
) -> dict[str, float]:
    """Of the pictures that show something without a negative prompt, how many lose it with one."""
    there = gone = 0
    for terrain, (what, time) in itertools.product(
        ("mountains", "sea", "desert", "forest"), (("moon", "night"), ("sun", "sunset"))
    ):
        prompt = f"{TERRAIN_WORDS[terrain][0][0]} {TIME_PHRASES[time][0]}"
        for seed in range(num_seeds):
            params = ImageParams("embedded", prompt, seed=seed)
            both = (params, replace(params, negative_prompt=what))
            before, after = reader.read(np.stack([reduce(paint(p)) for p in both]))
            there += before[what] == "yes"
            gone += before[what] == "yes" and after[what] == ""
    return {"shown": there, "obeyed": round(gone / there, 3) if there else float("nan")}


def detail(pixels: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbouring pixels, in grey levels."""
    grey = pixels.mean(axis=2)
    return float((np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) / 2)


def spread(pictures: list[Pixels]) -> float:
    """Mean root-mean-square distance of all pairs, in grey levels."""
    small = [p.astype(np.float32) for p in pictures]
    pairs = itertools.combinations(small, 2)
    return float(np.mean([np.sqrt(((a - b) ** 2).mean()) for a, b in pairs]))


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    model = EmbeddedModel("embedded", folder=args.weights, num_inference_steps=args.steps)
    networks = dict(model.load())

    def paint(params: ImageParams) -> Pixels:
        return draw(model, networks, params)

    reader = reading.load(args.reader)
    known = [name for name in reader.classes["thing"] if name in things.ICONIC]
    figures: dict[str, Any] = {"reader": json.loads((args.reader / "reader.json").read_text())}
    for name, wordings in cases(known).items():
        figures[name] = {
            wording: score(paint, reader, list_[:: args.every], args.seeds)
            for wording, list_ in wordings.items()
        }
        print(name, figures[name], flush=True)
    figures["negative prompt"] = negative(paint, reader, args.seeds)
    records = json.loads((args.images / "1024x1024.json").read_text())
    scenes = np.load(args.images / "1024x1024.npy", mmap_mode="r")
    kind = [i for i, r in enumerate(records) if r["terrain"] == "mountains"][:12]
    same = [
        paint(ImageParams("embedded", records[i]["captions"][0], seed=seed))
        for seed, i in enumerate(kind)
    ]
    figures["diversity"] = {
        "of scenes": round(spread([reduce(scenes[i]) for i in kind]), 1),
        "of pictures": round(spread([reduce(p) for p in same]), 1),
    }
    figures["detail"] = {
        "of scenes": round(float(np.mean([detail(scenes[i]) for i in kind])), 2),
        "of pictures": round(float(np.mean([detail(p) for p in same])), 2),
    }
    return figures


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=Path("src/daguerre/models/embedded/weights"))
    p.add_argument("--reader", type=Path, required=True)
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--every", type=int, default=1, help="only each so many prompts, for a glance")
    p.add_argument("--steps", type=int, default=0)
    args = p.parse_args()
    figures = evaluate(args)
    args.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
