"""Tags of style that have the name of an object are left out of what a prompt states."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.mentions import words_of
from daguerre.models.embedded.style_tags import without_style_tags


@pytest.mark.parametrize(
    "tag",
    [
        *("corel painter", "studio photographer", "colored pencil sketch", "camera"),
        *("phone wallpaper", "children's book illustration", "comic book", "movie camera"),
        *("lord of the rings", "league of dragons", "halftone dots", "hyperdetailed feathers"),
    ],
)
def test_style(tag: str) -> None:
    """Tools, media, titles, symbols and names with further words show no object."""
    words = without_style_tags(words_of(f"a dog, {tag}, 8k"))
    assert " ".join(words) == "a dog , , 8k"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a painter",
        "a comic book",
        "comic book, a dog",
        "cat, dog, tree",
        "a room, old books, fireplace",
        "a knight, golden crown, red cape",
        "a girl, a camera",
        "a town, trees everywhere, moon rising",
        "a wooden table: a blue plate of cookies",
        "a garden, lots of flowers",
        "a cat, bokeh",
    ],
)
def test_content(prompt: str) -> None:
    """Lists of objects, the first object, and tags with articles or colours stay."""
    words = words_of(prompt)
    assert without_style_tags(words) == words
