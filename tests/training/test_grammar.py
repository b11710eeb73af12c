"""Forms of nouns: articles and plurals, for every word of the table of things."""

from __future__ import annotations

import re

import pytest

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.plurals import SAME
from training.grammar import (
    DEFINITE,
    MASS,
    PLURALS,
    UNCOUNTED,
    add_adjective,
    article,
    clean,
    plural,
    with_article,
)

WORDS = [word for thing in things.THINGS for word in (thing.name, *thing.synonyms)]
# Singular words that end in s.
ONE = re.compile(r"(us|ss|rhinoceros|fleur-de-lis)$")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cat", "a"),
        ("apple", "an"),
        ("hourglass", "an"),
        ("unicorn", "a"),
        ("ufo", "a"),
        ("umbrella", "an"),
        ("unsure face", "an"),
        ("unamused face", "an"),
        ("upside-down face", "an"),
        ("urn", "an"),
        ("user icon", "a"),
        ("euro bill", "a"),
        ("ewe", "a"),
        ("one-piece swimsuit", "a"),
        ("onion", "an"),
        ("x-ray", "an"),
        ("xylophone", "a"),
        ("8 ball", "an"),
        ("suv", "an"),
        ("Orange cat", "an"),
        ("yellow hat", "a"),
    ],
)
def test_articles_follow_the_sound(words: str, expected: str) -> None:
    """An article depends on pronunciation, not on spelling."""
    assert article(words) == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("cat", "cats"),
        ("fox", "foxes"),
        ("butterfly", "butterflies"),
        ("donkey", "donkeys"),
        ("wolf", "wolves"),
        ("computer mouse", "computer mice"),
        ("tropical fish", "tropical fish"),
        ("sweet potato", "sweet potatoes"),
        ("superhero", "superheroes"),
        ("flamingo", "flamingos"),
        ("policewoman", "policewomen"),
        ("slice of pizza", "slices of pizza"),
        ("face with sunglasses", "faces with sunglasses"),
        ("person in a wheelchair", "people in a wheelchair"),
        ("person riding a bicycle", "people riding a bicycle"),
        ("airplane taking off", "airplanes taking off"),
        ("monkey covering its eyes", "monkeys covering their eyes"),
        ("bow and arrow", "bows and arrows"),
        ("spinning top", "spinning tops"),
        ("ring", "rings"),
        ("jeans", "jeans"),
        ("bread", "bread"),
        ("loaf of bread", "loaves of bread"),
        ("monarch", "monarchs"),
    ],
)
def test_plurals_are_those_of_the_head(noun: str, expected: str) -> None:
    """Only the head of a name gets the plural."""
    assert plural(noun) == expected


def test_every_word_of_the_table_has_a_plural() -> None:
    """A word is unchanged only if the lists say so, and its plural can be pronounced."""
    still = [word for word in WORDS if plural(word) == word and word not in UNCOUNTED]
    assert [word for word in still if word.split()[-1] not in SAME] == []
    odd = re.compile(r"(ss|x|ch|sh|[^aeiou]y|man)s$")
    assert [word for word in map(plural, WORDS) if odd.search(word)] == ["monarchs"]


def test_words_that_are_many_take_no_article() -> None:
    """Words with a plural s are in the lists, and words of the lists are in the table."""
    heads = {word: re.split(r" (?:of|with|in|on|covering|holding) ", word)[0] for word in WORDS}
    doing = re.compile(r"(blowing|peeking|holding|lifting|crossbones|kiss)\b")
    many = [word for word, head in heads.items() if head.endswith("s") and not ONE.search(head)]
    missed = [word for word in many if word not in UNCOUNTED | DEFINITE.keys()]
    assert [word for word in missed if not doing.search(word)] == []
    assert (MASS | PLURALS) - set(WORDS) == set()
    assert not MASS & PLURALS


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("cat", "a cat"),
        ("owl", "an owl"),
        ("sun", "the sun"),
        ("statue of liberty", "the statue of liberty"),
        ("jeans", "jeans"),
        ("santa claus", "santa claus"),
        ("pair of scissors", "a pair of scissors"),
    ],
)
def test_nouns_are_named_with_what_they_take(noun: str, expected: str) -> None:
    """A countable noun has an article; names and mass nouns have none."""
    assert with_article(noun) == expected


def test_adjectives_follow_the_article() -> None:
    """The article fits the adjective that follows it."""
    assert add_adjective("a village", "old") == "an old village"
    assert add_adjective("the hills", "snowy") == "the snowy hills"
    assert add_adjective("mountains", "autumn") == "autumn mountains"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  owl , , in the forest ,", "an owl, in the forest"),
        ("an small owl and a hourglass", "a small owl and an hourglass"),
        ("a unicorn .", "a unicorn."),
        ("the area is a desert", "the area is a desert"),
    ],
)
def test_what_empty_fields_leave_is_cleaned(text: str, expected: str) -> None:
    """Spaces, commas and articles are corrected."""
    assert clean(text) == expected
