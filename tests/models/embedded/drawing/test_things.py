"""The table of things and its looks, without any network."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from daguerre.models.embedded.drawing import art, things
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.recolouring import COLOURS, main_colour, recoloured
from training.scenes import sample


def words(thing: things.Thing) -> tuple[str, ...]:
    return thing.name, *thing.synonyms


def test_rows_use_the_letters_of_the_table() -> None:
    """Kinds, places and colours are known, and every row has tags."""
    for thing in things.THINGS:
        assert thing.kind in things.KINDS and thing.place in things.PLACES, thing
        assert thing.colour in ("", *COLOURS) and all(thing.slugs) and all(thing.tags), thing


def test_the_table_is_large() -> None:
    """The table has a thousand names, with many of every kind."""
    kinds = Counter(thing.kind for thing in things.THINGS)
    assert len(things.BY_NAME) >= 1000
    assert set(kinds) == set(things.KINDS) and min(kinds.values()) >= 30, kinds


def test_no_word_names_two_things() -> None:
    """Names and synonyms are unique and in lower case."""
    said = Counter(word for thing in things.THINGS for word in words(thing))
    assert said.most_common(1)[0][1] == 1, said.most_common(5)
    odd = [word for word in said if not re.fullmatch(r"[a-z0-9][a-z0-9'-]*( [a-z0-9'-]+)*", word)]
    assert odd == []


def test_colour_words_are_not_said_twice() -> None:
    """A thing with a colour word, or with any colour, has none in its name ("a red red apple").

    An orange is an exception, because there can be a yellow one.
    """
    colour = re.compile(rf"\b({'|'.join(COLOURS)}|grey)\b")
    coloured = [thing for thing in things.THINGS if thing.colour or thing.recolourable]
    twice = [word for thing in coloured for word in words(thing) if colour.search(word)]
    assert len(coloured) > 200 and twice == ["orange"]


def test_popular_things_weigh_more() -> None:
    """Popular things have more weight than others, faces and gestures have less."""
    weights = {name: things.BY_NAME[name].weight for name in ("cat", "donkey", "thumbs up")}
    assert weights["cat"] > weights["donkey"] > weights["thumbs up"] > 0
    assert things.BY_NAME["smiling face"].weight == weights["cat"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cat|cat|a|g|", "line 2: 5 cells, not 6"),
        ("cat|cat|q|g||", "line 2: kind 'q' is none of"),
        ("cat|cat|a|x||", "line 2: place 'x' is none of"),
        ("cat|cat|a|g||yes", "line 2: flag 'yes' is none of"),
        ("", "line 2: 1 cells, not 6"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(line: str, said: str) -> None:
    """An error names the invalid line of the table and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(said)):
        things.parse(f"# a comment\n{line}\n")


def test_tags_hold_for_the_rows_below_them() -> None:
    """A line of tags applies to the rows up to the next one."""
    table = "@ animal,pet\ncat|||||\n@ food\npie|pie cake|f|i||r\n".replace("|||||", "||a|g||")
    cat, pie = things.parse(table)
    assert (cat.tags, cat.slugs) == (("animal", "pet"), ("cat",))
    assert (pie.tags, pie.slugs, pie.recolourable) == (("food",), ("pie", "cake"), True)


def test_lists_name_things_of_the_table() -> None:
    """Lists of names contain only things of the table."""
    lists = {*things.ICONIC, *sample.IN_SPACE, *sample.SKY_ONLY_BY_DAY, *sample.GLOWING}
    assert lists <= things.BY_NAME.keys()


def test_main_colour_is_the_one_that_covers_most() -> None:
    """The red ball with cream stripes is red, not cream."""
    hue, light, saturation = main_colour("drawn", "ball")
    assert min(hue, 1 - hue) < 0.03 and 0.4 < light < 0.7 and saturation > 0.6


def test_every_drawing_of_our_own_is_somewhere_used() -> None:
    """The file of drawings is an SVG document, and the table names each of its symbols once."""
    root = ET.parse(things.DRAWINGS).getroot()
    symbols = [symbol.get("id") for symbol in root]
    used = [slug for thing in things.THINGS for slug in thing.slugs if slug.startswith("drawn:")]
    assert sorted(used) == sorted(f"drawn:{name}" for name in symbols)
    assert things.DRAWN.keys() == set(symbols) and len(symbols) == len(things.DRAWN) > 40


LEARNED = {  # looks whose slug differs from the name
    "airplane": "fluent-emoji-flat:airplane",
    "apple": "noto:red-apple",
    "bear": "whole:bear",
    "bee": "noto:honeybee",
    "boat": "noto:sailboat",
    "car": "noto:automobile",
    "coffee": "noto:hot-beverage",
    "fir tree": "noto:evergreen-tree",
    "flower": "noto:blossom",
    "fox": "whole:fox",
    "frog": "whole:frog",
    "gem": "noto:gem-stone",
    "heart": "noto:red-heart",
    "hot air balloon": "drawn:hot-air-balloon",
    "lion": "whole:lion",
    "moon": "noto:crescent-moon",
    "planet": "noto:ringed-planet",
    "smiling face": "noto:smiling-face-with-smiling-eyes",
    "tree": "noto:deciduous-tree",
    "robot": "whole:robot",
    "unicorn": "whole:unicorn",
    "whale": "noto:spouting-whale",
}


def test_looks_of_popular_things_are_frozen() -> None:
    """The first looks of popular things have not changed since the weights were trained."""
    for name in things.ICONIC:
        look = ":".join(things.looks(things.BY_NAME[name])[0])
        assert look == LEARNED.get(name, f"noto:{name.replace(' ', '-')}")


def test_recolouring_covers_most_of_an_object() -> None:
    """Every look of an object that may be recoloured differs in half of its pixels or more."""
    people = {*PEOPLE}  # only the main garment of a person changes
    rows = [thing for thing in things.THINGS if thing.name not in people]
    recolourable = [thing for thing in rows if thing.recolourable]
    looks = [look for thing in recolourable for look in things.looks(thing)]
    assert len(recolourable) > 800
    assert [look for look in looks if _difference(look, "red", "blue") < 0.5] == []


def _difference(look: tuple[str, str], *colours: str) -> float:
    """The share of a look's pixels that clearly differ between two colours."""
    size = things.drawn(look)[1:]
    texts = (recoloured(*look, colour) for colour in colours)
    one, two = (art.draw(art.document(text, *size), 24, 24).astype(int) for text in texts)
    differs = np.abs(one - two)[..., :3].sum(axis=-1) > 60
    return float(differs[one[..., 3] > 200].mean())


@pytest.mark.parametrize("name", ["elephant", "toaster", "black cat"])
def test_neutral_colours_are_replaced(name: str) -> None:
    """Gray, white and black objects can be recoloured, too; black also where no fill is given."""
    for look in things.looks(things.BY_NAME[name]):
        assert _difference(look, "red", "blue") > 0.5
