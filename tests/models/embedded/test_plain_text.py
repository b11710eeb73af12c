"""Typographic prompts are read as if they were typed plainly."""

from __future__ import annotations

import unicodedata

import pytest

from daguerre.models.embedded.mentions import words_of
from daguerre.models.embedded.plain_text import plain_text


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("a road, don’t draw cars", "a road, don't draw cars"),
        ("it`s a dog´s bowl", "it's a dog's bowl"),
        ("a sign: “open” «now» 「here」", 'a sign: "open" "now" "here"'),
        ("a double–decker bus", "a double-decker bus"),
        ("a cat—oil painting", "a cat - oil painting"),
        ("ｔｗｏ ＤＯＧＳ， 8Ｋ", "two DOGS, 8K"),
        ("a café and a piñata", "a cafe and a pinata"),
        ("a\u200b cat\u00a0and a \ufb01sh\ufe0f…", "a cat and a fish..."),
        ("\ufdfa", "صلى "),
        ("ŉ ſıgn ｢a｣ ‴", "'n sign \"a\" '''"),
        ("한국 猫 🌈", "한국 猫 🌈"),
        ("a cat, 4k", "a cat, 4k"),
        ("", ""),
    ],
)
def test_plain_characters(typed: str, plain: str) -> None:
    """Marks, dashes, accents and wide letters become ASCII; other scripts and emoji stay."""
    assert plain_text(typed) == plain
    assert plain_text(plain) == plain


def test_all_characters_become_plain_at_once() -> None:
    """The plain form of a plain form is the same."""
    chars = map(chr, range(0x110000))
    plain = [plain_text(char) for char in chars if unicodedata.decomposition(char)]
    assert len(plain) > 5_000
    assert [text for text in plain if plain_text(text) != text] == []


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a double-decker bus", "a double decker bus"),
        ("a cat - oil painting", "a cat - oil painting"),
        ("a cat --ar 16:9", "a cat - - ar 16 : 9"),
    ],
)
def test_hyphens(prompt: str, words: str) -> None:
    """A hyphen in a word separates two words; other hyphens and dashes are punctuation."""
    assert words_of(prompt) == words.split()
