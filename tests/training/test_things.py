"""The table of things, and the art: what a cache may hold, found without any network."""

from __future__ import annotations

import io
import json
import re
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import assets, things
from training.recolouring import COLOURS, main_colour, recoloured
from training.scenes import sample

needs_art = pytest.mark.skipif(not assets.present(), reason="the art cache is not fetched")


def pack(cache: Path, name: str, content: dict[str, Any]) -> None:
    """A package as the registry has it, with icons of our own."""
    data = json.dumps(content).encode()
    member = tarfile.TarInfo("package/icons.json")
    member.size = len(data)
    path = cache / f"iconify-json-{name}-{assets.PACKS[name].version}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(data))


def words(thing: things.Thing) -> tuple[str, ...]:
    return thing.name, *thing.synonyms


def test_rows_use_the_letters_of_the_table() -> None:
    """Kinds, places and colours are among those that the rest knows, and every row has tags."""
    for thing in things.THINGS:
        assert thing.kind in things.KINDS and thing.place in things.PLACES, thing
        assert thing.colour in ("", *COLOURS) and all(thing.slugs) and all(thing.tags), thing


def test_the_table_is_large() -> None:
    """It has a thousand names, and many of every kind."""
    kinds = Counter(thing.kind for thing in things.THINGS)
    assert len(things.BY_NAME) >= 1000
    assert set(kinds) == set(things.KINDS) and min(kinds.values()) >= 30, kinds


def test_no_word_names_two_things() -> None:
    """Names and synonyms occur once, in small letters."""
    said = Counter(word for thing in things.THINGS for word in words(thing))
    assert said.most_common(1)[0][1] == 1, said.most_common(5)
    odd = [word for word in said if not re.fullmatch(r"[a-z0-9][a-z0-9'-]*( [a-z0-9'-]+)*", word)]
    assert odd == []


def test_colour_words_are_not_said_twice() -> None:
    """What has a colour word, or takes any, is not called by one ("a red red apple")."""
    colour = re.compile(rf"\b({'|'.join(COLOURS)}|grey)\b")
    coloured = [thing for thing in things.THINGS if thing.colour or thing.recolourable]
    twice = [word for thing in coloured for word in words(thing) if colour.search(word)]
    assert len(coloured) > 200 and twice == []


def test_what_is_asked_for_first_is_drawn_most() -> None:
    """The best known things weigh more than others, faces and gestures less."""
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
    """An error says which line of the table is wrong and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(said)):
        things.parse(f"# a comment\n{line}\n")


def test_tags_hold_for_the_rows_below_them() -> None:
    """A line of tags counts until the next one."""
    table = "@ animal,pet\ncat|||||\n@ food\npie|pie cake|f|i||r\n".replace("|||||", "||a|g||")
    cat, pie = things.parse(table)
    assert (cat.tags, cat.slugs) == (("animal", "pet"), ("cat",))
    assert (pie.tags, pie.slugs, pie.recolourable) == (("food",), ("pie", "cake"), True)


def test_lists_name_things_of_the_table() -> None:
    """Whatever is said of a thing by name is said of one that exists."""
    lists = {*things.ICONIC, *sample.IN_SPACE, *sample.SKY_ONLY_BY_DAY, *sample.GLOWING}
    assert lists <= things.BY_NAME.keys()


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """A tarball with another digest is an error and does not stay in the cache."""
    first = next(iter(assets.PACKS))
    pack(tmp_path, first, {"icons": {}})
    with pytest.raises(RuntimeError, match="is not the pinned"):
        assets.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_icons_are_found_by_name_and_alias(tmp_path: Path) -> None:
    """An icon's own view wins over its package's; an alias leads to its parent."""
    icon = {"body": "<path/>", "width": 20, "left": 2}
    aliases = {"kitty": {"parent": "cat"}}
    pack(tmp_path, "noto", {"icons": {"cat": icon}, "aliases": aliases, "height": 32})
    moved = '<g transform="translate(-2 0)"><path/></g>'
    assert assets.body("noto", "kitty", tmp_path) == (moved, 20.0, 32.0)
    assert assets.body("noto", "dog", tmp_path) is None


def test_short_and_long_colours_are_changed() -> None:
    """#rgb and #rrggbb are both colours; references that look like them are not."""
    text = 'fill="#f00" stroke="#00ff00" href="#gradient"'
    swapped = assets.map_colours(text, lambda colour: (colour[2], colour[0], colour[1]))
    assert swapped == 'fill="#00ff00" stroke="#0000ff" href="#gradient"'


def test_main_colour_is_the_one_that_covers_most() -> None:
    """Our own red ball with its cream stripes is red, not cream."""
    hue, light, saturation = main_colour("drawn", "ball")
    assert min(hue, 1 - hue) < 0.03 and 0.4 < light < 0.7 and saturation > 0.6


def test_art_is_drawn_with_its_own_transparency() -> None:
    """A drawing covers its middle and leaves its corners clear."""
    drawn = things.art("drawn", "ball")
    assert drawn is not None
    alpha = assets.draw(assets.document(*drawn), 32, 32)[..., 3]
    assert alpha[16, 16] == 255 and not np.any(alpha[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_every_drawing_of_our_own_is_somewhere_used() -> None:
    """The file of drawings is an SVG document, and the table names each of its symbols once."""
    root = ET.parse(things.DRAWINGS).getroot()
    symbols = [symbol.get("id") for symbol in root]
    used = [slug for thing in things.THINGS for slug in thing.slugs if slug.startswith("drawn:")]
    assert sorted(used) == sorted(f"drawn:{name}" for name in symbols)
    assert things.DRAWN.keys() == set(symbols) and len(symbols) == len(things.DRAWN) > 40


BOX = '<path fill="#123456" d="M0 0h32v32H0z"/>'
DISC = '<circle fill="#123456" cx="16" cy="16" r="15"/>'


def test_boxes_are_no_looks_unless_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An icon that fills its square is passed over, but not where the table names its pack."""
    art = {"test-box": {"body": BOX}, "test-disc": {"body": DISC}}
    pack = {"icons": art, "width": 32, "height": 32}
    monkeypatch.setattr(assets, "icons", lambda name, cache: pack)
    thing = things.Thing("test", (), ("test-box", "twemoji:test-box"), "o", "i", "", False)
    assert things.looks(thing) == (("twemoji", "test-box"),)
    thing = things.Thing("test", (), ("test-none", "test-disc"), "o", "i", "", False)
    assert things.looks(thing) == tuple((name, "test-disc") for name in list(assets.PACKS)[:3])


@needs_art
def test_every_thing_has_looks_of_its_own() -> None:
    """With the art at hand, no row is without an icon, and no icon shows two rows."""
    shown = Counter(look for thing in things.THINGS for look in things.looks(thing))
    assert [thing.name for thing in things.THINGS if not things.looks(thing)] == []
    assert shown.most_common(1)[0][1] == 1, shown.most_common(5)
    assert all(things.art(*look) is not None for look in shown)


@needs_art
def test_every_slug_of_the_table_exists() -> None:
    """No slug is a slip of the pen: each leads to an icon in some pack, or in the pack it names."""
    lost = []
    for thing in things.THINGS:
        for slug in thing.slugs:
            name, _, icon = slug.rpartition(":")
            if all(things.art(pack, icon) is None for pack in ((name,) if name else assets.PACKS)):
                lost.append((thing.name, slug))
    assert lost == []


LEARNED = {  # looks whose slug is not the name's own
    "airplane": "fluent-emoji-flat:airplane",
    "apple": "noto:red-apple",
    "bee": "noto:honeybee",
    "boat": "noto:sailboat",
    "car": "noto:automobile",
    "coffee": "noto:hot-beverage",
    "fir tree": "noto:evergreen-tree",
    "flower": "noto:blossom",
    "gem": "noto:gem-stone",
    "heart": "noto:red-heart",
    "hot air balloon": "drawn:hot-air-balloon",
    "moon": "noto:crescent-moon",
    "planet": "noto:ringed-planet",
    "smiling face": "noto:smiling-face-with-smiling-eyes",
    "tree": "noto:deciduous-tree",
    "whale": "noto:spouting-whale",
}


@needs_art
def test_the_best_known_things_look_as_they_did() -> None:
    """Their first look is the one that models of the narrowed domain have learned."""
    for name in things.ICONIC:
        look = ":".join(things.looks(things.BY_NAME[name])[0])
        assert look == LEARNED.get(name, f"noto:{name.replace(' ', '-')}")


@needs_art
def test_what_takes_a_colour_shows_it() -> None:
    """Of each look that may be recoloured, a fifth or more changes in one colour of two."""
    pale = []
    for thing in things.THINGS:
        for look in things.looks(thing) if thing.recolourable else ():
            if max(_changed(look, colour) for colour in ("blue", "red")) < 0.2:
                pale.append((thing.name, look))
    assert pale == []


def _changed(look: tuple[str, str], colour: str) -> float:
    """The share of a look's pixels that recolouring changes plainly."""
    drawn = things.art(*look)
    assert drawn is not None
    size = drawn[1:]
    texts = (drawn[0], recoloured(*look, colour))
    before, after = (assets.draw(assets.document(t, *size), 24, 24).astype(int) for t in texts)
    differs = np.abs(before - after)[..., :3].sum(axis=-1) > 60
    return float(differs[before[..., 3] > 128].mean())
