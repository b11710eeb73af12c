"""Statures: the sizes that a prompt states of several objects are read, and no others."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.object_binding import bound_objects


@pytest.mark.parametrize(
    ("prompt", "statures"),
    [
        ("a tiny mouse next to a giant elephant", {"mouse": "tiny", "elephant": "giant"}),
        ("a big brown dog and a small cat", {"dog": "big", "cat": "small"}),
        ("An ENORMOUS strawberry beside a house", {"strawberry": "giant"}),
        ("a very small cat and a dog", {"cat": "tiny"}),
        ("a little red boat left of a large whale, 8k", {"boat": "small", "whale": "big"}),
    ],
)
def test_sizes_of_several_objects(prompt: str, statures: dict[str, str]) -> None:
    found = bound_objects(prompt).statures
    assert {name: frozenset({word}) for name, word in statures.items()} == found


@pytest.mark.parametrize(
    "prompt",
    [
        "a giant cat",  # alone: the network knows it
        "a giant panda and a bear",  # the name of a kind
        "a big dog toy and a cat",  # the toy is big
        "a small cat, a big cat and a dog",  # contradicts itself
        "a mouse next to an elephant in a huge room",
        "a dog without a big hat and a cat",
    ],
)
def test_sizes_that_are_not_certain(prompt: str) -> None:
    assert not bound_objects(prompt).statures
