"""What a text names among the things that can be drawn."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.drawing.things import named


@pytest.mark.parametrize(
    ("text", "said", "not_said"),
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
def test_named(text: str, said: set[str], not_said: set[str]) -> None:
    """Names, synonyms and plurals are found, and what is called by them if it is of their kind."""
    found = named(text)
    assert said <= found and not not_said & found


def test_a_text_of_any_length_is_read() -> None:
    """Also one that says the same word a thousand times."""
    assert "cat" in named("cat, " * 2500) and not named("cat " * 2500)
