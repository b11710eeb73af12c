"""The art: which icons become looks, how they are packed, what is shipped, and how it is drawn."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.embedded.drawing import art, things
from training import art as packing
from training import assets

BOX = '<path fill="#123456" d="M0 0h32v32H0z"/>'
DISC = '<circle fill="#123456" cx="16" cy="16" r="15"/>'
needs_packages = pytest.mark.skipif(not assets.present(), reason="the npm packages are not fetched")


def row(name: str, *slugs: str) -> things.Thing:
    return things.Thing(name, (), slugs, "o", "i", "", False)


def package(cache: Path, name: str, content: dict[str, Any]) -> None:
    """A package as the registry has it, with icons of our own."""
    data = json.dumps(content).encode()
    member = tarfile.TarInfo("package/icons.json")
    member.size = len(data)
    path = cache / f"iconify-json-{name}-{assets.PACKS[name].version}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def icons(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every package has these icons and no others."""
    content: dict[str, Any] = {
        "icons": {"a-box": {"body": BOX}, "a-disc": {"body": DISC}},
        "aliases": {"a-coin": {"parent": "a-disc"}},
        "width": 32,
        "height": 32,
    }
    monkeypatch.setattr(assets, "icons", lambda name, cache: content)
    return content


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """A tarball with another digest is an error and does not stay in the cache."""
    package(tmp_path, next(iter(assets.PACKS)), {"icons": {}})
    with pytest.raises(RuntimeError, match="is not the pinned"):
        assets.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_icons_are_found_by_name_and_alias(tmp_path: Path) -> None:
    """An icon's own view wins over its package's; an alias leads to its parent."""
    icon = {"body": "<path/>", "width": 20, "left": 2}
    aliases = {"kitty": {"parent": "cat"}}
    package(tmp_path, "noto", {"icons": {"cat": icon}, "aliases": aliases, "height": 32})
    moved = '<g transform="translate(-2 0)"><path/></g>'
    assert assets.body("noto", "kitty", tmp_path) == (moved, 20.0, 32.0)
    assert assets.body("noto", "dog", tmp_path) is None


def test_boxes_are_no_looks_unless_chosen(icons: dict[str, Any]) -> None:
    """An icon that fills its square is passed over, but not where the table names its pack."""
    assert packing.looks(row("test", "a-box", "twemoji:a-box")) == [("twemoji", "a-box")]
    assert packing.looks(row("test", "a-box")) == []


def test_three_looks_are_enough(icons: dict[str, Any]) -> None:
    """Packages are tried in their order, slugs in theirs, and what is not there is passed over."""
    first = [(name, "a-disc") for name in list(assets.PACKS)[:3]]
    assert packing.looks(row("test", "nowhere", "a-disc", "a-coin")) == first
    both = [("fxemoji", "a-disc"), ("noto", "a-coin")]
    assert packing.looks(row("test", "fxemoji:a-disc", "noto:a-coin")) == both


@pytest.mark.parametrize("look", sorted(packing.WRONG | packing.MISDRAWN))
def test_what_shows_something_else_is_left_out(icons: dict[str, Any], look: art.Look) -> None:
    """A look that was found wrong is taken from the other packages alone, unless it is chosen."""
    icons["icons"][look[1]] = {"body": DISC}
    found = packing.looks(row("test", look[1]))
    assert look not in found and len(found) >= 2
    assert packing.looks(row("test", ":".join(look))) == [look]


def test_a_drawing_of_our_own_is_a_look(icons: dict[str, Any]) -> None:
    """It is taken where the table names it, and no package needs to have it."""
    assert packing.looks(row("ball", "drawn:ball")) == [("drawn", "ball")]


def test_packed_is_what_is_looked_at(
    icons: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has each look's icon under the name that leads to it, nothing else, and neither our
    own drawings nor a row without a look; packing again gives the same bytes."""
    table = (row("coin", "noto:a-coin"), row("ball", "drawn:ball"), row("nothing", "nowhere"))
    monkeypatch.setattr(things, "THINGS", table)
    packed = packing.pack()
    found = json.loads(gzip.decompress(packed))
    assert found["looks"] == {"coin": [["noto", "a-coin"]], "ball": [["drawn", "ball"]]}
    assert found["icons"] == {"noto": {"a-coin": [DISC, 32.0, 32.0]}}
    assert packing.pack() == packed


@needs_packages
def test_the_shipped_art_is_what_the_packages_give() -> None:
    """Nobody edits art.json.gz by hand: every icon is its package's, and of every eighth thing, for
    the time that it takes, the looks are those that the recipe would choose today."""
    for thing in things.THINGS[::8]:
        assert list(things.looks(thing)) == packing.looks(thing)
    for name, icon in (look for thing in things.THINGS for look in things.looks(thing)):
        assert name == "drawn" or art.body(name, icon) == assets.body(name, icon)


@needs_packages
def test_every_slug_of_the_table_exists() -> None:
    """No slug is a slip of the pen: each leads to an icon in some pack, or in the pack it names."""

    def is_there(name: str, icon: str) -> bool:
        return icon in things.DRAWN if name == "drawn" else assets.body(name, icon) is not None

    lost = []
    for thing in things.THINGS:
        for slug in thing.slugs:
            name, _, icon = slug.rpartition(":")
            if not any(is_there(pack, icon) for pack in ((name,) if name else assets.PACKS)):
                lost.append((thing.name, slug))
    assert lost == []


def test_every_thing_has_looks_of_its_own() -> None:
    """Of the shipped art, no row is without a look, and no look shows two rows."""
    shown = Counter(look for thing in things.THINGS for look in things.looks(thing))
    assert [thing.name for thing in things.THINGS if not things.looks(thing)] == []
    assert shown.most_common(1)[0][1] == 1, shown.most_common(5)
    for look in shown:
        text, width, height = things.drawn(look)
        assert text.startswith("<") and width > 0 and height > 0


def test_shipped_looks_are_those_that_fit() -> None:
    """Nothing that was found wrong is shipped but where the table chose it by its pack."""
    chosen = {slug for thing in things.THINGS for slug in thing.slugs if ":" in slug}
    shown = {look for thing in things.THINGS for look in things.looks(thing)}
    assert {":".join(look) for look in shown & (packing.WRONG | packing.MISDRAWN)} <= chosen
    assert {name for name, _ in shown} == {*assets.PACKS, "drawn"}
    assert max(len(things.looks(thing)) for thing in things.THINGS) == packing.NUM_LOOKS


def test_what_is_not_shipped_has_no_look() -> None:
    """An unknown name has none, and an unknown icon is none."""
    assert art.looks("no such thing") == () and art.body("noto", "no-such-icon") is None
    assert art.body("no such set", "cat") is None
    with pytest.raises(AssertionError, match="no art for noto:no-such-icon"):
        things.drawn(("noto", "no-such-icon"))


def test_short_and_long_colours_are_changed() -> None:
    """#rgb and #rrggbb are both colours; references that look like them are not."""
    text = 'fill="#f00" stroke="#00ff00" href="#gradient"'
    swapped = art.map_colours(text, lambda colour: (colour[2], colour[0], colour[1]))
    assert swapped == 'fill="#00ff00" stroke="#0000ff" href="#gradient"'


def test_art_is_drawn_with_its_own_transparency() -> None:
    """A drawing covers its middle and leaves its corners clear."""
    drawn = things.drawn(("drawn", "ball"))
    alpha = art.draw(art.document(*drawn), 32, 32)[..., 3]
    assert alpha[16, 16] == 255 and not np.any(alpha[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_pixels_are_red_green_blue_and_alpha() -> None:
    """Colours are in this order, not darkened by their transparency, and the size is as asked."""
    half = '<rect width="10" height="10" fill="#ff8000" fill-opacity="0.5"/>'
    pixels = art.draw(art.document(half, 10, 10), 6, 4)
    assert pixels.shape == (4, 6, 4) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255, 128, 0, 128)).max() <= 2


def test_a_document_is_drawn_the_same_again() -> None:
    """Pixels of an earlier document stay as they were when another one is drawn."""
    disc, box = art.document(DISC, 32, 32), art.document(BOX, 32, 32)
    first = art.draw(disc, 64, 64)
    kept = first.copy()
    assert not np.array_equal(art.draw(box, 64, 64), first)
    assert np.array_equal(first, kept) and np.array_equal(art.draw(disc, 64, 64), first)


@pytest.mark.parametrize("text", ["", "not a document", "<svg", '{"icons": {}}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    """The error shows what was given, and the next document is drawn all the same."""
    with pytest.raises(ValueError, match="not an SVG document"):
        art.draw(text, 8, 8)
    assert art.draw(art.document(BOX, 32, 32), 8, 8)[..., 3].min() == 255
