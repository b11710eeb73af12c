"""GenEval (Ghosh et al. 2023, arXiv 2310.11513) without a detector.

    python -m training.geneval --own 60           60 prompts of each category, made up by rule
    python -m training.geneval --prompts FILE     prompts in GenEval's format, JSON lines
    python -m training.geneval --own 60 --wrong   also what went wrong

The rules are GenEval's: objects, counts, sides and colours. The objects and their boxes come from
the painter, not from a detector, so a figure is an upper bound of what GenEval's own detector would
find in the same pictures.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.model import WEIGHTS
from daguerre.params import ImageParams
from training import coco, visible
from training.decisions import Decide, Decided, decider
from training.grammar import article, plural, with_article
from training.visible import Box, PictureColours, VisibleObject

CATEGORIES = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
POSITION_THRESHOLD = 0.1  # of both objects' sizes; GenEval's
# Relation -> the axis of the box, and the direction along it.
SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
NUMBERS = {2: "two", 3: "three", 4: "four"}
OVERALL = "overall"


@dataclass(frozen=True)
class Wanted:
    """A requirement: at least `count` objects of a class, perhaps in a colour, on a side.

    `position` is a relation and the index of the requirement that it refers to.
    """

    name: str
    count: int = 1
    colour: str = ""
    position: tuple[str, int] | None = None


@dataclass(frozen=True)
class Case:
    """A prompt, its requirements, and the counts of a class that it must not reach."""

    category: str
    prompt: str
    include: tuple[Wanted, ...]
    exclude: tuple[Wanted, ...] = ()


def read_cases(file: Path) -> list[Case]:
    """Reads GenEval's format: one JSON object on each line."""
    return [_case(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _case(row: dict) -> Case:  # type: ignore[type-arg]
    include, exclude = (
        tuple(_wanted(said) for said in row.get(key, ())) for key in ("include", "exclude")
    )
    return Case(row["tag"], row["prompt"], include, exclude)


def _wanted(said: dict) -> Wanted:  # type: ignore[type-arg]
    position = said.get("position")
    where = (str(position[0]), int(position[1])) if position else None
    return Wanted(said["class"], said["count"], said.get("color", ""), where)


def own_cases(num: int) -> list[Case]:
    """Prompts of GenEval's six categories, `num` of each, always the same."""
    r = random.Random(20261129)
    names = sorted(coco.DEPICTING)
    found = [
        _photo("single_object", with_article(name), Wanted(name))
        for name in r.sample(names, min(num, len(names)))
    ]
    for _ in range(num):
        one, two = r.sample(names, 2)
        count = r.choice(tuple(NUMBERS))
        red, blue = r.sample(COLOURS, 2)
        side = r.choice(tuple(SIDES))
        a, b = with_article(one), with_article(two)
        red_one, blue_two = f"{article(red)} {red} {one}", f"{article(blue)} {blue} {two}"
        many = Wanted(one, count), Wanted(one, count + 1)
        found += [
            _photo("two_object", f"{a} and {b}", Wanted(one), Wanted(two)),
            Case("counting", f"a photo of {NUMBERS[count]} {plural(one)}", many[:1], many[1:]),
            _photo("colors", red_one, Wanted(one, 1, red)),
            _photo("position", f"{a} {side} {b}", Wanted(two), Wanted(one, 1, "", (side, 0))),
            _photo(
                "color_attr", f"{red_one} and {blue_two}", Wanted(one, 1, red), Wanted(two, 1, blue)
            ),
        ]
    return found


def _photo(category: str, text: str, *include: Wanted) -> Case:
    return Case(category, f"a photo of {text}", include)


def fault(case: Case, scene: Scene) -> str:
    """What is wrong with the picture of a scene; "" if nothing is."""
    colours = PictureColours(scene)
    groups: list[list[VisibleObject]] = []
    for wanted in case.include:
        found = objects_of(scene, wanted.name)[: wanted.count]
        wrong = _fault(wanted, found, groups, colours)
        if wrong:
            return wrong
        groups.append(found)
    for limit in case.exclude:
        if len(objects_of(scene, limit.name)) >= limit.count:
            return f"count: more than {limit.count - 1} {limit.name}"
    return ""


def _fault(
    wanted: Wanted,
    found: Sequence[VisibleObject],
    groups: Sequence[Sequence[VisibleObject]],
    colours: PictureColours,
) -> str:
    name = wanted.name
    if not coco.depicting(name) and name not in coco.FURNITURE.values():
        return f"no art: {name}"
    if len(found) < wanted.count:
        return f"count: {len(found)} {name}, not {wanted.count}" if found else f"absent: {name}"
    if wanted.colour:
        for seen in found:
            if not visible.has_colour(colours.under(seen), wanted.colour):
                return f"colour: {name} is not {wanted.colour}"
    if wanted.position:
        side, target = wanted.position
        if not all(is_on_side(side, a.box, b.box) for a in found for b in groups[target]):
            return f"position: {name} is not {side} the other"
    return ""


def objects_of(scene: Scene, name: str) -> list[VisibleObject]:
    """The visible objects of a class, the largest first."""
    found = [
        seen
        for seen in visible.visible_objects(scene)
        for _ in range(coco.counted(seen.name, name))
    ]
    if coco.FURNITURE.get(scene.setting) == name:
        w, h = scene.width, scene.height
        found.append(VisibleObject(name, (0.1 * w, 0.6 * h, 0.9 * w, 0.92 * h), None))
    return found


def is_on_side(side: str, a: Box, b: Box) -> bool:
    """GenEval's rule: a is more than a tenth of both sizes beyond b, and mainly on that side."""
    axis, direction = SIDES[side]
    offset = [(a[k] + a[k + 2] - b[k] - b[k + 2]) / 2 for k in (0, 1)]
    sizes = a[axis + 2] - a[axis] + b[axis + 2] - b[axis]
    beyond = direction * offset[axis] - POSITION_THRESHOLD * sizes
    return beyond > 0 and beyond > 0.5 * math.hypot(*offset)


@dataclass(frozen=True)
class Result:
    """The outcome of one picture; `fault` is "" if it is right."""

    case: Case
    decided: Decided
    fault: str


def judge(decide: Decide, cases: Iterable[Case], num_seeds: int) -> list[Result]:
    """The result of each prompt and seed."""
    asked = [(case, seed) for case in cases for seed in range(1, num_seeds + 1)]
    scenes = decide([ImageParams("embedded", case.prompt, seed=seed) for case, seed in asked])
    return [
        Result(case, decided, fault(case, decided.scene))
        for (case, _), decided in zip(asked, scenes, strict=True)
    ]


def shares(results: Iterable[Result]) -> dict[str, float]:
    """The share of right pictures in each category, and the mean of the categories."""
    right = defaultdict(list)
    for result in results:
        right[result.case.category].append(not result.fault)
    found = {name: float(np.mean(right[name])) for name in CATEGORIES if name in right}
    found[OVERALL] = float(np.mean([*found.values()]))
    return {name: round(share, 3) for name, share in found.items()}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    chosen = p.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--own", type=int, help="number of own prompts in each category")
    chosen.add_argument("--prompts", type=Path, help="a file of prompts in GenEval's format")
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--wrong", action="store_true", help="also print what went wrong")
    args = p.parse_args()
    cases = read_cases(args.prompts) if args.prompts else own_cases(args.own)
    results = judge(decider(args.weights), cases, args.seeds)
    for result in results:
        if args.wrong and result.fault:
            print(f"{result.case.prompt!r}: {result.fault}: {result.decided.scene}")
    print("wrong:", Counter(r.fault.split(":")[0] for r in results if r.fault).most_common())
    print(json.dumps(shares(results), indent=2))


if __name__ == "__main__":
    main()
