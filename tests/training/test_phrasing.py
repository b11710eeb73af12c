"""Phrases around captions, which say nothing about the scene."""

from __future__ import annotations

import re

import numpy as np

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from training import phrasing
from training.wording import STYLE_WORDS, TERRAIN_WORDS, TIME_NOUNS, TIME_PHRASES

CAPTION = "A red fox. It is night."
OWN = [*phrasing._TAGS, *phrasing._JUNK, *(ask.format("") for ask in phrasing._ASKS)]


def worded(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def test_a_caption_stays_whole() -> None:
    """The caption's words stay in order; only the phrase surrounds them."""
    rng = np.random.default_rng(1)
    inner, own = worded(CAPTION), {word for text in OWN for word in worded(text)}
    names = re.compile(f"(?:{'|'.join(phrasing._SYLLABLES)}){{1,3}}")
    found = [phrasing.asked(CAPTION, rng) for _ in range(3000)]
    for text in found:
        words = worded(text)
        at = next(i for i in range(len(words)) if words[i : i + len(inner)] == inner)
        added = {*words[:at], *words[at + len(inner) :]} - own
        assert all(names.fullmatch(word) for word in added), text
        assert not re.search(r"  |,,|\{|\}| ,|\.,|\.\.", text), text
    changed = np.mean([text != CAPTION for text in found])
    usual = 1 - (1 - phrasing.TAG_SHARE) * (1 - phrasing.ASK_SHARE)
    assert abs(changed - usual) < 0.02


def test_every_phrase_occurs() -> None:
    """Every tag, question and junk phrase is used."""
    rng = np.random.default_rng(2)
    texts = {phrasing.asked("a cat", rng).lower() for _ in range(8000)}
    said = " | ".join(texts)
    assert [tag for tag in phrasing._TAGS if tag.partition("{}")[0] not in said] == []
    assert [ask for ask in phrasing._ASKS if ask.format("a cat").lower() not in said] == []
    junk = " | ".join(phrasing.junk(rng) for _ in range(500))
    assert [word for word in phrasing._JUNK if word not in junk] == []


def test_junk_is_a_list_of_its_own_words() -> None:
    """Junk is one to six typical words of negative prompts, none twice."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        words = phrasing.junk(rng).split(", ")
        assert 1 <= len(words) <= 6 and len(set(words)) == len(words)
        assert set(words) <= set(phrasing._JUNK)


def test_phrases_say_nothing_of_a_scene() -> None:
    """No phrase contains a thing, a colour, a place, an hour or a style."""
    names = [word for row in things.THINGS for word in (row.name, *row.synonyms)]
    places = [word for nouns, *_ in TERRAIN_WORDS.values() for word in nouns]
    said = (*TIME_NOUNS.values(), *TIME_PHRASES.values())
    hours = [word for words in said for word in words]
    styles = [word for before, after in STYLE_WORDS.values() for word in (*before, *after)]
    phrases = " | ".join(" ".join(worded(text)) for text in OWN)
    spoken = (*names, *COLOURS, *BACKS, *places, *hours, *styles)
    assert [word for word in spoken if f" {word} " in f" {phrases} "] == []
