"""How well exported weights follow prompts; figures for the model card.

    python -m training.evaluate --weights FOLDER --out figures.json

The model decides a scene before it draws it, so what a picture shows is read from its fields, which
is exact: a classifier of pixels would add its own errors. `plain` are prompts in the simplest
wording, `paraphrased` the wordings that the captions of the training hold out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daguerre.models.embedded.drawing import Scene, SceneObject, render, things
from daguerre.models.embedded.model import WEIGHTS
from daguerre.params import ImageParams
from training import geneval, pixels, report, robustness, scenes, unseen
from training.captions import caption
from training.decisions import Decide, decider
from training.grammar import article, plural, with_article
from training.scenes.crowd import counted
from training.weather import TIME_NOUNS, TIME_PHRASES
from training.wording import TERRAIN_WORDS

SIZE = (1024, 1024)
TERRAINS = (
    "mountains hills desert river forest meadow snowfield canyon volcano waterfall road village"
    " city sea beach lake islands street park garden farm cliff waterfront harbour"
).split()
COLOURED = "flower heart car balloon butterfly rose tulip umbrella house bus chair shirt".split()
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink")
BACKGROUNDS = ("white", "blue", "yellow", "pink", "green", "black")
Check = Callable[[Scene], bool]


@dataclass(frozen=True)
class Case:
    """A prompt and what must hold in its scene."""

    prompt: str
    holds: Check


def _alone(name: str, **facts: object) -> Scene:
    """One thing on plain ground."""
    row = things.BY_NAME[name]
    item = SceneObject(name, things.looks(row)[0], "", row.place, 1, 0.7, False)
    item = replace(item, **facts)  # type: ignore[arg-type]
    kind = "group" if item.count > 1 else "thing"
    return Scene(kind, *SIZE, seed=1, objects=(item,), background="white", ground="plain")


def _reworded(scene: Scene, needs: Iterable[Sequence[str]], seed: str) -> str:
    """A held-out wording that names each of the facts by one of its words."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    while True:
        text = caption(scene, rng, held_out=True)
        if all(any(word in text.lower() for word in words) for words in needs):
            return text


def shows(name: str) -> Check:
    return lambda scene: [item.name for item in scene.objects] == [name]


def _place_and_time(terrain: str, time: str) -> Check:
    return lambda scene: (scene.terrain, scene.time) == (terrain, time)


def _coloured(name: str, colour: str) -> Check:
    return lambda scene: [(t.name, t.colour) for t in scene.objects] == [(name, colour)]


def _many(name: str, count: int) -> Check:
    return lambda scene: [(t.name, t.count) for t in scene.objects] == [(name, count)]


def _both(*counted: tuple[str, int]) -> Check:
    return lambda scene: {(item.name, item.count) for item in scene.objects} == {*counted}


def _sides(left: str, right: str) -> Check:
    def holds(scene: Scene) -> bool:
        names = [item.name for item in scene.objects]
        order = {"left": [left, right], "right": [right, left]}.get(scene.relation)
        return names == order

    return holds


def _behind(name: str, colour: str) -> Check:
    return lambda scene: shows(name)(scene) and scene.background == colour


Cases = dict[str, dict[str, list[Case]]]  # figure -> wording -> prompts


def cases(every: int) -> Cases:
    """All prompts, for every `every`-th thing."""
    rows = [t for t in things.THINGS if things.looks(t)][::every]
    usual = [t for t in rows if t.name in counted() and t.name in things.ICONIC]
    found: Cases = {}

    def add(figure: str, wording: str, prompt: str, holds: Check) -> None:
        found.setdefault(figure, {}).setdefault(wording, []).append(Case(prompt, holds))

    for row in rows:
        said = (row.name, *row.synonyms)
        add("thing", "plain", with_article(row.name), shows(row.name))
        for synonym in row.synonyms:
            add("thing", "by synonym", with_article(synonym), shows(row.name))
        text = _reworded(_alone(row.name), [said], row.name)
        add("thing", "paraphrased", text, shows(row.name))
    for words, names in unseen.WORDS.items():
        holds = _any_of(tuple(names))
        add("thing", "by a word never seen", with_article(words), holds)
    for terrain, time in itertools.product(TERRAINS, TIME_PHRASES):
        nouns = TERRAIN_WORDS[terrain][0]
        holds = _place_and_time(terrain, time)
        add("place and time", "plain", f"{nouns[0]} {TIME_PHRASES[time][0]}", holds)
        scene = Scene("landscape", *SIZE, seed=1, time=time, weather="clear", terrain=terrain)
        bare = [noun.removeprefix("the ").removeprefix("a ") for noun in nouns]
        hours = [p.split()[-1] for p in (*TIME_PHRASES[time], *TIME_NOUNS[time])]
        text = _reworded(scene, [bare, hours], terrain + time)
        add("place and time", "paraphrased", text, holds)
    for name, colour in itertools.product(COLOURED, COLOURS):
        known = things.BY_NAME.get(name)
        if known and known.recolourable and known.colour != colour:
            holds = _coloured(name, colour)
            add("colour", "plain", f"{article(colour)} {colour} {name}", holds)
            add("colour", "paraphrased", f"show me {article(colour)} {colour} {name}", holds)
    for row, count in itertools.product(usual, (2, 3, 4, 5, 6, 7)):
        figure, holds = f"count of {count}", _many(row.name, count)
        word = ("two", "three", "four", "five", "six", "seven")[count - 2]
        add(figure, "plain", f"{word} {plural(row.name)}", holds)
        add(figure, "paraphrased", f"I count {word} {plural(row.name)}", holds)
    for first, second in _pairs(usual):
        a, b = with_article(first.name), with_article(second.name)
        holds = _sides(first.name, second.name)
        add("left and right", "plain", f"{a} to the left of {b}", holds)
        add("left and right", "plain", f"{b} to the right of {a}", holds)
        add("left and right", "paraphrased", f"look left for {a} and right for {b}", holds)
        text = f"two {plural(first.name)} and three {plural(second.name)}"
        holds = _both((first.name, 2), (second.name, 3))
        add("two counts", "plain", text, holds)
        add("two counts", "paraphrased", f"I count {text}", holds)
    for row, colour in itertools.product(usual[::4], BACKGROUNDS):
        text = f"{with_article(row.name)} on a {colour} background"
        add("background", "plain", text, _behind(row.name, colour))
    return found


def _pairs(rows: Sequence[things.Thing]) -> list[tuple[things.Thing, things.Thing]]:
    """Each object with a different one; a lone object has none."""
    shift = 1 + 6 % max(1, len(rows) - 1)
    pairs = zip(rows, (*rows[shift:], *rows[:shift]), strict=True)
    return [(first, second) for first, second in pairs if first != second]


def _any_of(names: tuple[str, ...]) -> Check:
    return lambda scene: bool(scene.objects) and scene.objects[0].name in names


# Prompts, what the negative prompt says, and whether it is there.
NEGATIVES: tuple[tuple[tuple[str, ...], str, Check], ...] = (
    (
        ("the mountains at sunset", "the sea at dawn", "a beach by day", "the desert at sunset"),
        "sun",
        lambda scene: scene.sun,
    ),
    (
        ("the mountains at night", "a lake at night", "a forest at night", "a city at night"),
        "moon",
        lambda scene: scene.moon,
    ),
    (
        ("a cat on a table", "a dog and a cat", "a cat and a ball", "a cat under an umbrella"),
        "cat",
        lambda scene: any("cat" in item.name.split() for item in scene.objects),
    ),
    (
        ("a car in the mountains", "a tent in the forest", "a rabbit in a meadow"),
        "mountains",
        lambda scene: scene.terrain == "mountains",
    ),
    (
        ("an apple", "a guitar", "a robot", "a castle", "a fish"),
        "white background",
        lambda scene: scene.background == "white",
    ),
    (
        ("a village in winter", "a forest in winter", "mountains in winter"),
        "falling snow",
        lambda scene: scene.weather == "snow",
    ),
    (
        ("a landscape at night", "the sky at night", "mountains at night"),
        "northern lights",
        lambda scene: scene.weather == "aurora",
    ),
)


def negative(decide: Decide, num_seeds: int) -> dict[str, float]:
    """Of the scenes that have something without a negative prompt, how many lose it with one."""
    there = gone = 0
    for prompts, words, is_there in NEGATIVES:
        params = [
            ImageParams("embedded", prompt, seed=seed + 1)
            for prompt in prompts
            for seed in range(num_seeds)
        ]
        before = [is_there(found.scene) for found in decide(params)]
        shown = [p for p, is_shown in zip(params, before, strict=True) if is_shown]
        chosen = [replace(p, negative_prompt=words) for p in shown]
        there += len(chosen)
        gone += sum(not is_there(found.scene) for found in decide(chosen))
    return {"there": there, "gone": round(gone / max(1, there), 3)}


def against_data(decide: Decide, num: int) -> dict[str, float]:
    """The model's pictures for captions of scenes that it never saw, against these scenes."""
    rng = np.random.default_rng(777)
    data = [scenes.sample_scene(rng, SIZE) for _ in range(num)]
    params = [
        ImageParams("embedded", caption(scene, rng), seed=i + 1) for i, scene in enumerate(data)
    ]
    mine = decide(params)
    ours = [render(found.scene, 512, 512) for found in mine]
    theirs = [render(scene, 512, 512) for scene in data]
    return {
        "sharpness": round(pixels.sharpness(ours) / pixels.sharpness(theirs), 3),
        "diversity": round(pixels.diversity(ours) / pixels.diversity(theirs), 3),
    }


NUM_GENEVAL = 60  # own prompts in each category


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--out", type=Path)
    p.add_argument("--every", type=int, default=1, help="evaluate every N-th thing")
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--steps", type=int, default=0, help="0 takes the model's own")
    p.add_argument("--geneval", type=Path, help="a file of prompts in GenEval's format")
    p.add_argument("--wrong", action="store_true", help="also print what went wrong")
    args = p.parse_args()
    decide = decider(args.weights, args.steps)
    figures: report.Figures = {}
    for figure, wordings in cases(args.every).items():
        for wording, chosen in wordings.items():
            pairs = [(case, seed) for case in chosen for seed in range(1, args.seeds + 1)]
            found = decide([ImageParams("embedded", c.prompt, seed=seed) for c, seed in pairs])
            hits = [c.holds(f.scene) for (c, _), f in zip(pairs, found, strict=True)]
            figures.setdefault(figure, {})[wording] = round(float(np.mean(hits)), 3)
            print(f"{figure}, {wording}: {np.mean(hits):.3f} of {len(hits)}", flush=True)
            if args.wrong:
                for (case, _), f, hit in zip(pairs, found, hits, strict=True):
                    if not hit:
                        print(f"  {case.prompt!r}: {f.scene}")
    prompts = {"geneval": geneval.own_cases(NUM_GENEVAL)}
    if args.geneval:
        prompts["geneval, given prompts"] = geneval.read_cases(args.geneval)
    for key, asked in prompts.items():
        figures[key] = geneval.shares(geneval.judge(decide, asked, args.seeds))
    figures |= robustness.measure(decide, args.seeds)
    figures["negative"] = negative(decide, 8 * args.seeds)
    figures["against the data"] = against_data(decide, 60)
    if args.out:
        args.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(report.table(figures))


if __name__ == "__main__":
    main()
