"""The drawable objects that a text names."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.drawing.plurals import plural_word
from daguerre.models.embedded.drawing.things import THINGS, meanings, named, plural_meanings


@pytest.mark.parametrize(
    ("text", "included", "excluded"),
    [
        ("dog", {"dog", "service dog"}, {"hot dog", "cat"}),
        ("no CATS, please", {"cat", "black cat"}, {"dog"}),
        ("black cat", {"black cat"}, {"cat"}),
        ("a bus stop", {"bus stop"}, {"bus"}),
        ("no hot dogs", {"hot dog"}, {"dog"}),
        ("orange background, apple logo, bad hands", set(), {"orange", "apple", "open hands"}),
        ("puppies and kitty", {"dog", "cat"}, {"horse"}),
        ("hot air balloons", {"hot air balloon"}, {"sun"}),
        ("fox/cat", {"fox", "cat"}, {"dog"}),
        ("(dog:1.3), cat：", {"dog", "cat"}, {"fox"}),
        ("dog，cat、fox", {"dog", "cat", "fox"}, {"sun"}),
        ("blurry, low quality, watermark", set(), {"cat"}),
        ("", set(), {"cat"}),
    ],
)
def test_named(text: str, included: set[str], excluded: set[str]) -> None:
    """Names, synonyms, plurals and more specific names are found."""
    found = named(text)
    assert included <= found and not excluded & found


def test_every_plural_is_read() -> None:
    """Each name has a plural that means the same; "feet" are no foot ("six feet tall")."""
    unread = []
    for thing in THINGS:
        for name in (thing.name, *thing.synonyms):
            before, space, last = name.replace("-", " ").rpartition(" ")
            plural = before + space + plural_word(last)
            is_read = thing.name in plural_meanings(plural) and thing.name in meanings(plural)
            unread += [] if is_read else [plural]
    assert unread == ["feet"]


def test_long_text() -> None:
    """Texts of any length are read, even one that repeats the same word."""
    assert "cat" in named("cat, " * 2500) and not named("cat " * 2500)
