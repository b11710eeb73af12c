"""Prompts in plain characters, so that typographic and typed forms of a prompt are equal."""

from __future__ import annotations

import unicodedata

_PLAIN = {
    ord(char): plain
    for chars, plain in (
        ("‘’‚‛ʹʻʼʽ′‵´`", "'"),
        ("“”„‟″‶«»〝〞", '"'),
        ("‹›「」『』", '"'),
        ("‐‑‒–−⁃﹣", "-"),
        ("—―", " - "),
        ("、", ","),
        ("。", "."),
        ("ı", "i"),
    )
    for char in chars
}
_LEFT_OUT = ("Mn", "Cf")  # combining marks and invisible characters
_MAX_EXPANSION = 4  # plain characters in place of one: some ligatures are whole sentences


def plain_text(text: str) -> str:
    """The text with plain marks and letters: "don't" for "don’t", "e" for "é"."""
    text = text.translate(_PLAIN)
    if text.isascii():
        return text
    forms = (unicodedata.normalize("NFKD", char)[:_MAX_EXPANSION] for char in text)
    kept = (char for form in forms for char in form if unicodedata.category(char) not in _LEFT_OUT)
    return unicodedata.normalize("NFC", "".join(kept).translate(_PLAIN))


def composed_text(text: str) -> str:
    """The text with one character for a letter and its accents, and without invisible ones."""
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFC", text)
    return "".join(char for char in composed if unicodedata.category(char) != "Cf")
