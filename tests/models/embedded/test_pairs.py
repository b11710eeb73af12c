"""Two objects of one name."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.kinds import with_known_names
from daguerre.models.embedded.pairs import with_pairs


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("A cow and her calf on a meadow", "two cows on a meadow"),
        ("a dog and her little puppy, 8k", "two dogs, 8k"),
        ("draw a wolf and another wolf", "draw two wolves"),
        ("the fire truck and a fire engine", "two fire trucks"),
        ("a black cat and a white cat", "a black cat and a white cat"),
        ("a cat and a black cat", "a cat and a black cat"),
        ("a dog and its dog house", "a dog and its dog house"),
        ("a cat and her owner", "a cat and her owner"),
        ("a cat and", "a cat and"),
        ("a cat and a", "a cat and a"),
        ("an", "an"),
        ("", ""),
    ],
)
def test_pairs(prompt: str, read: str) -> None:
    """Objects with colours of their own stay two objects, and so do different names."""
    assert with_pairs(with_known_names(prompt)) == read
