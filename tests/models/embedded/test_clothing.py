"""Clothes in a prompt: worn by a person or an animal, or objects of their own."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.clothing import worn
from daguerre.models.embedded.mentions import find_mentions, words_of
from daguerre.models.embedded.object_binding import bound_objects


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a woman in a red dress", {"woman"}),
        ("a girl wearing a dress and a crown", {"girl"}),
        ("a cat with a scarf and a ball", {"cat", "ball"}),
        ("a dress", {"dress"}),
        ("a woman and a dress", {"woman", "dress"}),
        ("a box with a crown", {"package", "crown"}),
    ],
)
def test_clothes_that_are_worn_are_no_objects(prompt: str, said: set[str]) -> None:
    assert bound_objects(prompt).said == said


def test_second_garment_has_the_same_wearer() -> None:
    words = words_of("a man in a coat and a scarf")
    man, coat, scarf = find_mentions(words)
    assert worn(words, (man, coat, scarf)) == {coat: man, scarf: man}
