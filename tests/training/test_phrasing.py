"""Phrases around captions, which say nothing about the scene."""

from __future__ import annotations

import re

import numpy as np
import pytest

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from training import phrasing, sentences, tails
from training.weather import TIME_NOUNS, TIME_PHRASES
from training.wording import STYLE_WORDS, TERRAIN_WORDS

CAPTION = "A red fox. It is night."
TAGS = [tag for tags, _ in tails._KINDS for tag in tags]
OWN = [*TAGS, *phrasing._JUNK, *(ask.format("") for ask in phrasing._ASKS)]
OWN += [text for texts in (sentences._TEMPLATES, sentences._ASPECTS) for text in texts]
OWN += [*sentences._FEELINGS, *sentences._PURPOSES]


def worded(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def test_a_caption_stays_whole() -> None:
    """The caption's words stay in order within the phrases, but for articles and typing errors."""
    rng = np.random.default_rng(1)
    inner = worded(CAPTION)
    bare = [word for word in inner if word != "a"]
    found = [phrasing.asked(CAPTION, rng) for _ in range(3000)]
    whole = 0
    for text in found:
        words = worded(text)
        runs = [words[i : i + len(inner)] for i in range(len(words))]
        whole += inner in runs or bare in [run[: len(bare)] for run in runs]
        assert not re.search(r"  |,,|\{|\}| ,|\.,|\.\.", text), text
    assert whole / len(found) > 0.97


def test_every_phrase_occurs() -> None:
    """Every tag, question and junk phrase is used."""
    rng = np.random.default_rng(2)
    said = " | ".join(phrasing.asked("a cat", rng) for _ in range(15000)).lower()
    tags = " | ".join(tag for _ in range(12000) for tag in tails.tail(rng))
    assert [tag for tag in TAGS if tag.partition("{}")[0] not in tags] == []
    assert [ask for ask in phrasing._ASKS if ask.format("a cat").lower() not in said] == []
    junk = " | ".join(phrasing.junk(rng) for _ in range(500))
    assert [word for word in phrasing._JUNK if word not in junk] == []


@pytest.mark.parametrize("seed", range(20))
def test_a_typing_error_is_in_one_long_word(seed: int) -> None:
    """One letter is lost, doubled or swapped with the next; short words stay as they are."""
    found = phrasing._mistyped("a big elephant", np.random.default_rng(seed))
    assert found.startswith("a big e")
    assert abs(len(found) - len("a big elephant")) <= 1
    assert phrasing._mistyped("a cat", np.random.default_rng(seed)) == "a cat"


def test_sentences_make_captions_long() -> None:
    """Some captions have 30 to 100 words of sentences that are true of any picture."""
    rng = np.random.default_rng(5)
    lengths = np.array([len(phrasing.asked("a cat", rng).split()) for _ in range(4000)])
    assert 0.03 < (lengths > 25).mean() < 0.12


def test_junk_is_a_list_of_its_own_words() -> None:
    """Junk is one to six typical words of negative prompts, none twice."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        words = phrasing.junk(rng).split(", ")
        assert 1 <= len(words) <= 6 and len(set(words)) == len(words)
        assert set(words) <= set(phrasing._JUNK)


def test_phrases_say_nothing_of_a_scene() -> None:
    """No phrase contains a thing, a colour, a place, an hour or a style, but a painting or a book.

    These say how a picture is made ("an oil painting of"), unless an article stands before them.
    """
    names = [word for row in things.THINGS for word in (row.name, *row.synonyms)]
    places = [word for nouns, *_ in TERRAIN_WORDS.values() for word in nouns]
    said = (*TIME_NOUNS.values(), *TIME_PHRASES.values())
    hours = [word for words in said for word in words]
    styles = [word for before, after in STYLE_WORDS.values() for word in (*before, *after)]
    phrases = " | ".join(" ".join(worded(text)) for text in OWN)
    spoken = (*names, *COLOURS, *BACKS, *places, *hours, *styles)
    found = {word for word in spoken if f" {word} " in f" {phrases} "}
    assert found <= {"painting", "book"}
