"""Phrases of style are left out of what a prompt states."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.mentions import find_mentions, words_of
from daguerre.models.embedded.style_phrases import (
    excluded_styles,
    without_clauses,
    without_style_phrases,
)


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("a dog, shot on a camera, 8k", "a dog , , 8k"),
        ("a cat in the style of Studio Map, trending on the web", "a cat ,"),
        ("in the style of a clock: a cat", ": a cat"),
        ("art by John Fox", ""),
        ("a dog, commissioned for a school, 8k", "a dog , , 8k"),
        ("a dog designed for a robot", "a dog"),
        ("a dog featured next to a cat", "a dog featured next to a cat"),
        ("a cat in the style of Bob next to a dog", "a cat in the style of bob next to a dog"),
        ("shot on film with a dog", "shot on film with a dog"),
        ("a cat in the house", "a cat in the house"),
        ("shot on" + " film" * 20, "shot on" + " film" * 20),
        ("a rose painted with a brush on wood, 8k", "a rose , 8k"),
        ("a fox from an old film by a duck, 8k", "a fox by a duck , 8k"),
        ("a man from a village", "a man from a village"),
        ("a cat from the", "a cat from the"),
        ("", ""),
        ("in", "in"),
    ],
)
def test_phrases_are_left_out(prompt: str, kept: str) -> None:
    """A phrase ends at a punctuation mark. It stays if more of the picture may follow in it."""
    assert " ".join(without_style_phrases(words_of(prompt))) == kept


@pytest.mark.parametrize(
    ("prompt", "styles"),
    [
        ("retro 80s synthwave sunset with a palm tree", {"vintage"}),
        ("a vintage car", set()),
        ("retro poster of a car", set()),
    ],
)
def test_later_eras_are_not_vintage(prompt: str, styles: set[str]) -> None:
    """Sepia fits older pictures only."""
    assert excluded_styles(prompt) == styles


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("a train that belongs to my uncle, 8k", "a train , 8k"),
        ("a castle my grandmother loved", "a castle"),
        ("a cat that no one saw", "a cat"),
        ("a cloud that looks like a dog", "a cloud"),
        ("a cat that holds a fish", "a cat that holds a fish"),
        ("a cat that looks at a fish", "a cat that looks at a fish"),
        ("a dog that was chasing a cat", "a dog that was chasing a cat"),
        ("a boy and his dog", "a boy and his dog"),
        ("a car, the sort that my aunt drives, 8k", "a car , 8k"),
        ("a car, the red one", "a car , the red one"),
        ("a car, the kind", "a car , the kind"),
    ],
)
def test_clauses_are_left_out(prompt: str, kept: str) -> None:
    """Whose an object is, and who knows it, is not shown; what it does is."""
    words = words_of(prompt)
    ends = [mention.end for mention in find_mentions(words)]
    assert " ".join(without_clauses(words, ends)) == kept
