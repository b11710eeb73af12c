"""Objects that a prompt leaves out."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.mentions import find_mentions, words_of
from daguerre.models.embedded.negation import Affirmed, affirmed, negated


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
        ("a king without his red crown", ["crown"]),
        ("a dog that does not have a hat", ["hat"]),
        ("a street with no flying birds", ["birds"]),
        ("", []),
    ],
)
def test_negated(prompt: str, expected: list[str]) -> None:
    """A negation reaches over articles and adjectives, and no further."""
    words = words_of(prompt)
    found = negated(words, list(find_mentions(words)))
    assert sorted(" ".join(words[m.start : m.end]) for m in found) == sorted(expected)


@pytest.mark.parametrize(
    "prompt",
    [
        "a man with no name riding a horse",
        "a horse with no rider chasing dogs",
        "a room without a doubt the cat",
        "an empty street, except for a cat",
        "everything is gray except the red balloon",
        "everything but the dog is blue",
        "don't forget the dog",
        "a mouse that doesn't see the cat",
        "a girl who does not like dogs",
        "a lion that would never hurt a lamb",
        "a cat never without a ball",
        "why not a dog",
        "a not so big dog",
        "not very big dogs",
        "a red and not blue car",
        "a no-nonsense detective",
        "the never ending stairs",
        "a no dogs sign",
        "no ordinary cat",
        "not just a cat",
        "not your average cat",
        "not one dog but two",
        "no two cats are alike",
        "a dog, no doubt a poodle",
        "no longer a puppy",
        "no place like home",
        "no no no no",
        "a dog without",
    ],
)
def test_not_negated(prompt: str) -> None:
    """Other verbs, comparisons, exceptions and double negations leave nothing out."""
    assert affirmed(prompt) == Affirmed(prompt, "")


@pytest.mark.parametrize(
    ("prompt", "wanted", "absent"),
    [
        ("a beach at sunset, no people", "a beach at sunset", "people"),
        ("A living room with no sofa and a cat", "a living room and a cat", "sofa"),
        ("a street with no cars or people, 8k", "a street , 8k", "cars, people"),
        ("a cat without a hat and a dog with a hat", "a cat and a dog with a hat", ""),
        ("a car instead of a bicycle", "a car", "bicycle"),
        ("a city at night, without a moon.", "a city at night.", "moon"),
        ("A red Cat", "A red Cat", ""),
        ("not a cat", "not a cat", "cat"),
        ("No cats, no dogs!", "No cats, no dogs!", "cats, dogs"),
        ("", "", ""),
    ],
)
def test_affirmed(prompt: str, wanted: str, absent: str) -> None:
    """The network reads no negation of an object; names that are also wanted are not excluded."""
    found = affirmed(prompt)
    assert (" ".join(found.prompt.split()), found.absent) == (wanted, absent)
