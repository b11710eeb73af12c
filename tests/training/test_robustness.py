"""What must not change a picture: tails and wordings, judged without a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.params import ImageParams
from training import robustness, scenes, tails, unshown
from training.decisions import Decide, Decided

PLAIN = Scene("thing", 1024, 1024, 1, background="white", ground="plain")


def item(name: str, **changes: object) -> SceneObject:
    row = things.BY_NAME[name]
    found = SceneObject(name, things.looks(row)[0], "", row.place, 1, 0.7, False)
    return replace(found, **changes)  # type: ignore[arg-type]


def draws(scene_of: object) -> Decide:
    return lambda requests: [Decided(params, scene_of(params)) for params in requests]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [(["dog"], "alone"), (["dog", "cat"], "extra"), (["service dog"], "alone"), ([], "missing")],
)
def test_outcomes(shown: list[str], outcome: str) -> None:
    """A lone object is right, also by a more specific name; another one beside it is an extra."""
    scene = replace(PLAIN, objects=tuple(map(item, shown)))
    assert robustness._outcome("dog", scene) == outcome


def test_shares_of_tails() -> None:
    """The shares are of all objects, tails and seeds."""
    found = robustness.tails(draws(lambda params: replace(PLAIN, objects=(item("dog"),))), 1)
    assert found == {"alone": round(1 / 30, 3), "extra": 0, "missing": round(29 / 30, 3)}


def test_tails_are_not_trained() -> None:
    """No tag of the training is a whole part of a tail, but for a handful of usual ones."""
    known = {tag for tags, _ in tails._KINDS for tag in tags}
    known |= {*unshown.NAME_TAGS, *unshown._TOOL_TAILS, *unshown._CLAUSES}
    every = (*robustness.TAILS, *robustness.NEW_TAILS)
    parts = {part.strip() for tail in every for part in tail.split(",")[1:]}
    assert parts & known <= {"bokeh", "dslr", "golden ratio", "unsplash"}
    templates = " ".join((*known, *unshown.TOOLS, *unshown.SURFACES, *unshown.RELATIVES)).split()
    held_out = "uncle grandmother century crayons museum procreate pixar substance catalogue album"
    assert not {*templates} & {*held_out.split()}


def test_wordings_are_compared_with_the_plain_prompt() -> None:
    """Other objects, counts or places count as different; other colours and seeds do not."""

    def scene_of(params: ImageParams) -> Scene:
        is_plain = params.prompt in robustness.PROMPTS
        return replace(PLAIN, objects=(item("dog", count=1 if is_plain else 2),))

    assert robustness.paraphrases(draws(lambda params: PLAIN), 2) == 1
    assert robustness.paraphrases(draws(scene_of), 1) == 0


def test_fields_of_equal_scenes_agree() -> None:
    """A model that decides the scenes themselves has full agreement, an empty one has none."""
    rng = np.random.default_rng(20261130)
    true = [scenes.sample_scene(rng, (1024, 1024)) for _ in range(30)]
    found = robustness.agreement(
        lambda requests: [Decided(p, s) for p, s in zip(requests, true, strict=True)], 30
    )
    assert set(found.values()) == {1.0} and {"kind", "name", "count"} <= found.keys()
    empty = replace(PLAIN, kind="landscape")
    assert robustness.agreement(draws(lambda params: empty), 30)["name"] == 0
