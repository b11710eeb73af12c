"""The model card: its figures, and the numbers that the code decides."""

from __future__ import annotations

import json

import pytest

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.hatted import HEADS
from daguerre.models.embedded.drawing.mounts import RIDEABLE
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.fields import MAX_OBJECTS, OBJECT_FIELDS, SCENE_FIELDS
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.quoted_words import MAX_CHARACTERS
from training import report, unseen
from training.scenes.domain import STYLE_WORDS
from training.scenes.sample import TERRAINS

README = " ".join((report.ROOT / "README.md").read_text(encoding="utf-8").split())
TEXT = report.CARD.read_text(encoding="utf-8")


def test_the_card_shows_the_figures() -> None:
    """The card's tables are those of training/figures.json, to the letter."""
    figures = json.loads(report.FIGURES.read_text(encoding="utf-8"))
    assert report.with_figures(TEXT, figures) == TEXT


def test_the_card_describes_the_weights() -> None:
    """The rows about fields, networks, art and training are those of the shipped files."""
    assert report.with_facts(TEXT, report.facts(WEIGHTS)) == TEXT


def num_values(fields: dict[str, tuple[str, ...]], name: str) -> int:
    """The values of a field but for "", which leaves it open."""
    return len(fields[name]) - 1


@pytest.mark.parametrize(
    "phrase",
    [
        f"[{len(things.THINGS):,} of them]",
        f"{sum(thing.recolourable for thing in things.THINGS)} objects, counts",
        f"{num_values(OBJECT_FIELDS, 'colour')} colours of",
        f"{len(PEOPLE)} kinds, from babies",
        f"{num_values(OBJECT_FIELDS, 'pose')} poses",
        f"{num_values(OBJECT_FIELDS, 'outfit')} outfits",
        f"{num_values(OBJECT_FIELDS, 'hat')} kinds of hats",
        f"{len(RIDEABLE)} animals and vehicles",
        f"{len(HEADS)} animals wear hats",
        f"{num_values(SCENE_FIELDS, 'background')} colours, floors",
        f"{num_values(SCENE_FIELDS, 'lettering')} kinds of surfaces",
        f"up to {MAX_CHARACTERS} characters",
        f"[{len(unseen.WORDS)} words]",
    ],
)
def test_the_card_counts_what_the_code_has(phrase: str) -> None:
    """What the card says of objects, people, surfaces and words is how many there are."""
    assert phrase in TEXT


@pytest.mark.parametrize(
    "phrase",
    [
        f"about {round(len(things.THINGS), -2):,} objects,",
        f"{len(TERRAINS)} landscapes,",
        f"{1 + len(FURNISHED)} rooms,",
        f"{1 + len(STYLE_WORDS)} styles.",
    ],
)
def test_the_readme_counts_what_the_code_has(phrase: str) -> None:
    """The README's numbers of objects, places and styles are those of the code."""
    assert phrase in README


def test_the_limits_of_a_scene_are_in_the_card() -> None:
    """The card says how many objects and copies a scene has at most."""
    assert (MAX_OBJECTS, OBJECT_FIELDS["count"][-1]) == (5, "7")
    assert "more than five different objects, or more than seven of one" in TEXT
