"""The GenEval scorer: its rules, visible objects, their colours, and a floor for the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.model import EmbeddedModel
from training import coco, geneval, visible
from training.decisions import decide
from training.evaluate import NUM_GENEVAL
from training.geneval import Case, Wanted

FLOOR = 0.87  # share of own prompts that the bundled model must follow


def thing(name: str, **changes: object) -> SceneObject:
    row = things.BY_NAME[name]
    item = SceneObject(name, things.looks(row)[0], "", row.place, 1, 0.9, False)
    return replace(item, **changes)  # type: ignore[arg-type]


def scene(kind: str, *items: SceneObject, relation: str = "") -> Scene:
    plain = Scene(kind, 1024, 1024, seed=3, objects=items, background="white", ground="plain")
    return replace(plain, relation=relation)


CAT_AND_CAR = scene("pair", thing("cat"), thing("car"), relation="left")
THREE_APPLES = scene("group", thing("apple", count=3))


def case(*include: Wanted, exclude: tuple[Wanted, ...] = ()) -> Case:
    return Case("any", "", include, exclude)


@pytest.mark.parametrize(
    ("asked", "shown", "expected"),
    [
        (case(Wanted("cat"), Wanted("car")), CAT_AND_CAR, ""),
        (case(Wanted("cat"), Wanted("dog")), CAT_AND_CAR, "absent: dog"),
        (case(Wanted("cat", 2)), CAT_AND_CAR, "count: 1 cat, not 2"),
        (case(Wanted("apple", 3)), THREE_APPLES, ""),
        (case(Wanted("apple", 2)), THREE_APPLES, ""),
        (
            case(Wanted("apple", 2), exclude=(Wanted("apple", 3),)),
            THREE_APPLES,
            "count: more than 2 apple",
        ),
        (case(Wanted("cat"), Wanted("car", 1, "", ("right of", 0))), CAT_AND_CAR, ""),
        (
            case(Wanted("cat"), Wanted("car", 1, "", ("left of", 0))),
            CAT_AND_CAR,
            "position: car is not left of the other",
        ),
    ],
)
def test_rules(asked: Case, shown: Scene, expected: str) -> None:
    """Objects must be there, in the number, and on the side that the prompt names."""
    assert geneval.fault(asked, shown) == expected


def test_colours_are_read_from_the_pixels() -> None:
    """A recoloured object has the new colour and no longer its own."""
    for colour, wrong in (("blue", "red"), ("red", "blue")):
        shown = scene("thing", thing("car", colour=colour))
        assert geneval.fault(case(Wanted("car", 1, colour)), shown) == ""
        assert geneval.fault(case(Wanted("car", 1, wrong)), shown) == f"colour: car is not {wrong}"


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0.9, 0.1, 0.1), "red"),
        ((0.1, 0.3, 0.9), "blue"),
        ((0.4, 0.25, 0.1), "brown"),
        ((0.02, 0.02, 0.02), "black"),
        ((0.97, 0.97, 0.97), "white"),
        ((1.0, 0.7, 0.8), "pink"),
        ((0.5, 0.5, 0.5), "gray"),
    ],
)
def test_colour_words(rgb: tuple[float, float, float], name: str) -> None:
    """Typical colours have their word, also when they are read from pixels."""
    assert visible.colour_name(*rgb) == name
    pixels = np.array([rgb], np.float32) * 255
    assert visible.has_colour(pixels.astype(np.uint8), name)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 100, 100), True),
        ((-60, 0, 40, 100), True),
        ((-80, 0, 20, 100), False),
        ((1020, 500, 1100, 580), False),
        ((500, 500, 520, 520), False),
    ],
)
def test_visible_boxes(box: visible.Box, expected: bool) -> None:
    """An object is visible if a third of it is inside the frame and it is not tiny."""
    assert visible.is_visible(box, CAT_AND_CAR) == expected


def test_copies() -> None:
    """A reflection is no further object; a pattern has many."""
    boat = thing("boat", place="w", size=0.3, is_reflected=True)
    lake = Scene("mixed", 1024, 1024, 3, time="day", weather="clear", terrain="lake")
    (seen,) = visible.visible_objects(replace(lake, objects=(boat,)))
    assert seen.name == "boat"
    assert len(visible.visible_objects(scene("pattern", thing("cat")))) >= visible.PATTERN_COUNT


def test_a_table_is_furniture() -> None:
    """The table of a room counts as a dining table."""
    room = Scene("room", 1024, 1024, 3, setting="table", objects=(thing("cat"),))
    assert geneval.fault(case(Wanted("dining table"), Wanted("cat")), room) == ""


def test_depicting_names_are_things() -> None:
    """Every object that depicts a class is a row of the table of things."""
    names = {name for names in coco.DEPICTING.values() for name in names.split(",")} - {""}
    assert names | {name for name, _ in coco.SEVERAL} <= things.BY_NAME.keys()
    assert coco.depicting("dog") > {"dog", "poodle"} and "robot" not in coco.depicting("person")


def test_prompts_of_a_file(tmp_path: Path) -> None:
    """Prompts are read in GenEval's format."""
    row = {
        "tag": "position",
        "include": [
            {"class": "kite", "count": 1},
            {"class": "bus", "count": 1, "color": "red", "position": ["above", 0]},
        ],
        "exclude": [{"class": "bus", "count": 2}],
        "prompt": "a photo of a red bus above a kite",
    }
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n")
    (found,) = geneval.read_cases(tmp_path / "prompts.jsonl")
    assert found.include == (Wanted("kite"), Wanted("bus", 1, "red", ("above", 0)))
    assert (found.category, found.exclude) == ("position", (Wanted("bus", 2),))


def test_own_prompts() -> None:
    """Own prompts are the same each time and have all categories in equal number."""
    found = geneval.own_cases(9)
    assert found == geneval.own_cases(9)
    categories = [case.category for case in found]
    assert {name: categories.count(name) for name in categories} == dict.fromkeys(
        geneval.CATEGORIES, 9
    )


@pytest.mark.soak
def test_the_bundled_model_follows_its_prompts() -> None:
    """Of the own prompts, the bundled model draws at least `FLOOR` correctly."""
    model = EmbeddedModel("embedded")
    networks = model.load()
    results = geneval.judge(
        lambda params: decide(model, networks, params), geneval.own_cases(NUM_GENEVAL), 1
    )
    assert geneval.shares(results)[geneval.OVERALL] >= FLOOR
