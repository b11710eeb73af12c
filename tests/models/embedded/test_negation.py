"""Objects that a prompt leaves out."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.mentions import find_mentions, words_of
from daguerre.models.embedded.negation import negated


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a street without cars", ["cars"]),
        ("a road with no red cars and a tree", ["cars"]),
        ("a cat without a hat", ["hat"]),
        ("no cars or people", ["cars", "people"]),
        ("neither a cat nor a dog", ["cat", "dog"]),
        ("a cat, not a dog", ["dog"]),
        ("a cat instead of a dog", ["dog"]),
        ("don't draw any dogs", ["dogs"]),
        ("no more than two cats", []),
        ("nothing but a cat", []),
        ("not only a cat", []),
        ("a bird bigger than a dog", []),
        ("a cat with no tail and a dog", []),
        ("", []),
    ],
)
def test_negated(prompt: str, expected: list[str]) -> None:
    """A negation reaches over articles and adjectives, and no further."""
    words = words_of(prompt)
    found = negated(words, list(find_mentions(words)))
    assert sorted(" ".join(words[m.start : m.end]) for m in found) == sorted(expected)
