"""The art: the choice of looks, packing, the shipped file, and drawing."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.embedded.drawing import art, things
from training import art as packing
from training import assets
from training.cleaning import EDITS, STARRY, cleaned

BOX = '<path fill="#123456" d="M0 0h32v32H0z"/>'
DISC = '<circle fill="#123456" cx="16" cy="16" r="15"/>'
needs_packages = pytest.mark.skipif(not assets.present(), reason="the npm packages are not fetched")


def row(name: str, *slugs: str) -> things.Thing:
    return things.Thing(name, (), slugs, "o", "i", "", False)


def package(cache: Path, name: str, content: dict[str, Any]) -> None:
    """A package as in the registry, with icons of the test."""
    data = json.dumps(content).encode()
    member = tarfile.TarInfo("package/icons.json")
    member.size = len(data)
    path = cache / f"iconify-json-{name}-{assets.PACKS[name].version}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def icons(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every package has exactly these icons."""
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
    """An icon's own view overrides its package's; an alias refers to its parent."""
    icon = {"body": "<path/>", "width": 20, "left": 2}
    aliases = {"kitty": {"parent": "cat"}}
    package(tmp_path, "noto", {"icons": {"cat": icon}, "aliases": aliases, "height": 32})
    moved = '<g transform="translate(-2 0)"><path/></g>'
    assert assets.body("noto", "kitty", tmp_path) == (moved, 20.0, 32.0)
    assert assets.body("noto", "dog", tmp_path) is None


def test_boxes_are_skipped_unless_chosen(icons: dict[str, Any]) -> None:
    """An icon that fills its square is skipped unless the table names its package."""
    assert packing.looks(row("test", "a-box", "twemoji:a-box")) == [("twemoji", "a-box")]
    assert packing.looks(row("test", "a-box")) == []


def test_three_looks_are_enough(icons: dict[str, Any]) -> None:
    """Packages and slugs are tried in order, and missing icons are skipped."""
    first = [(name, "a-disc") for name in list(assets.PACKS)[:3]]
    assert packing.looks(row("test", "nowhere", "a-disc", "a-coin")) == first
    both = [("fxemoji", "a-disc"), ("noto", "a-coin")]
    assert packing.looks(row("test", "fxemoji:a-disc", "noto:a-coin")) == both


@pytest.mark.parametrize("look", sorted(packing.WRONG | packing.MISDRAWN))
def test_wrong_looks_are_skipped(icons: dict[str, Any], look: art.Look) -> None:
    """A look that is listed as wrong is skipped, unless the table chose it."""
    icons["icons"][look[1]] = {"body": DISC}
    found = packing.looks(row("test", look[1]))
    assert look not in found and len(found) >= 2
    assert packing.looks(row("test", ":".join(look))) == [look]


def test_a_drawing_of_our_own_is_a_look(icons: dict[str, Any]) -> None:
    """A drawing of daguerre is a look if the table names it, without any package."""
    assert packing.looks(row("ball", "drawn:ball")) == [("drawn", "ball")]


def test_packed_file(icons: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has exactly the icons of the looks, without own drawings and rows without a look.
    Packing again gives the same bytes.
    """
    table = (row("coin", "noto:a-coin"), row("ball", "drawn:ball"), row("nothing", "nowhere"))
    monkeypatch.setattr(things, "THINGS", table)
    packed = packing.pack()
    found = json.loads(gzip.decompress(packed))
    assert found["looks"] == {"coin": [["noto", "a-coin"]], "ball": [["drawn", "ball"]]}
    assert found["icons"] == {"noto": {"a-coin": [DISC, 32.0, 32.0]}}
    assert packing.pack() == packed


@needs_packages
def test_the_shipped_art_is_what_the_packages_give() -> None:
    """art.json.gz is not edited by hand: every icon is its package's, cleaned. Every eighth thing
    (to save time) has the looks that the recipe would choose.
    """
    for thing in things.THINGS[::8]:
        assert list(things.looks(thing)) == packing.looks(thing)
    for name, icon in (look for thing in things.THINGS for look in things.looks(thing)):
        found = assets.body(name, icon) if name in assets.PACKS else None
        assert not found or art.body(name, icon) == cleaned((name, icon), found)


STAR = '<path fill="#fff" d="M2 2h2v2h-2z"/>'
PANE = '<circle cx="16" cy="16" r="3" fill="#fff"/>'


def test_stars_are_left_out() -> None:
    """White parts that touch no other part are left out of starry icons, and of no others."""
    rocket = ("noto", "rocket")
    drawn = (DISC + STAR + PANE, 32.0, 32.0)
    assert cleaned(rocket, drawn) == (DISC + PANE, 32.0, 32.0)
    assert cleaned(("noto", "dice"), drawn) == drawn


def test_edits_apply() -> None:
    """An edit removes its text, and is an error where the text is not found."""
    boat = ("twemoji", "sailboat")
    water = '<path fill="#55acee" d="M0 30h36v6H0z"/>'
    assert cleaned(boat, (DISC + water, 36.0, 36.0)) == (DISC, 36.0, 36.0)
    with pytest.raises(ValueError, match="does not apply"):
        cleaned(boat, (DISC, 36.0, 36.0))


def test_the_shipped_art_is_cleaned() -> None:
    """Cleaning the stars once more changes nothing."""
    for look in STARRY:
        drawn = art.body(*look)
        assert drawn and cleaned(look, drawn) == drawn
    for look, (pattern, _) in EDITS.items():
        drawn = art.body(*look)
        assert drawn and not re.search(pattern, drawn[0])


@needs_packages
def test_every_slug_of_the_table_exists() -> None:
    """Every slug is an icon of some package, or of the package it names."""

    def is_there(name: str, icon: str) -> bool:
        if name in assets.PACKS:
            return assets.body(name, icon) is not None
        return bool(things.drawn((name, icon)))

    lost = []
    for thing in things.THINGS:
        for slug in thing.slugs:
            name, _, icon = slug.rpartition(":")
            if not any(is_there(pack, icon) for pack in ((name,) if name else assets.PACKS)):
                lost.append((thing.name, slug))
    assert lost == []


def test_every_thing_has_looks_of_its_own() -> None:
    """Every row of the table has a look, and no two rows share one."""
    shown = Counter(look for thing in things.THINGS for look in things.looks(thing))
    assert [thing.name for thing in things.THINGS if not things.looks(thing)] == []
    assert shown.most_common(1)[0][1] == 1, shown.most_common(5)
    for look in shown:
        text, width, height = things.drawn(look)
        assert text.startswith("<") and width > 0 and height > 0


def test_shipped_looks_are_those_that_fit() -> None:
    """Looks that are listed as wrong are shipped only if the table chose them."""
    chosen = {slug for thing in things.THINGS for slug in thing.slugs if ":" in slug}
    shown = {look for thing in things.THINGS for look in things.looks(thing)}
    assert {":".join(look) for look in shown & (packing.WRONG | packing.MISDRAWN)} <= chosen
    assert {name for name, _ in shown} == {*assets.PACKS, "drawn", "figure", "whole"}
    assert max(len(things.looks(thing)) for thing in things.THINGS) == packing.NUM_LOOKS


def test_unknown_names_have_no_look() -> None:
    """An unknown name has no look, and an unknown icon is None."""
    assert art.looks("no such thing") == () and art.body("noto", "no-such-icon") is None
    assert art.body("no such set", "cat") is None
    with pytest.raises(AssertionError, match="no art for noto:no-such-icon"):
        things.drawn(("noto", "no-such-icon"))


def test_short_and_long_colours_are_changed() -> None:
    """#rgb and #rrggbb are colours; similar references are not."""
    text = 'fill="#f00" stroke="#00ff00" href="#gradient"'
    swapped = art.map_colours(text, lambda colour: (colour[2], colour[0], colour[1]))
    assert swapped == 'fill="#00ff00" stroke="#0000ff" href="#gradient"'


def test_art_is_drawn_with_its_own_transparency() -> None:
    """A drawing covers its centre and leaves its corners transparent."""
    drawn = things.drawn(("drawn", "ball"))
    alpha = art.draw(art.document(*drawn), 32, 32)[..., 3]
    assert alpha[16, 16] == 255 and not np.any(alpha[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_pixels_are_red_green_blue_and_alpha() -> None:
    """Pixels are RGBA, not premultiplied, in the requested size."""
    half = '<rect width="10" height="10" fill="#ff8000" fill-opacity="0.5"/>'
    pixels = art.draw(art.document(half, 10, 10), 6, 4)
    assert pixels.shape == (4, 6, 4) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255, 128, 0, 128)).max() <= 2


def test_a_document_is_drawn_the_same_again() -> None:
    """Drawing another document does not change the pixels of an earlier one."""
    disc, box = art.document(DISC, 32, 32), art.document(BOX, 32, 32)
    first = art.draw(disc, 64, 64)
    kept = first.copy()
    assert not np.array_equal(art.draw(box, 64, 64), first)
    assert np.array_equal(first, kept) and np.array_equal(art.draw(disc, 64, 64), first)


@pytest.mark.parametrize("text", ["", "not a document", "<svg", '{"icons": {}}'])
def test_malformed_document(text: str) -> None:
    """The error shows the malformed document, and the next one is drawn normally."""
    with pytest.raises(ValueError, match="not an SVG document"):
        art.draw(text, 8, 8)
    assert art.draw(art.document(BOX, 32, 32), 8, 8)[..., 3].min() == 255


def test_an_opaque_document_has_the_same_pixels() -> None:
    """Without transparency, the faster rasteriser gives the same colours."""
    shapes = '<circle cx="12" cy="9" r="7" fill="#e23b3b" opacity="0.4"/>'
    text = f'<rect width="32" height="32" fill="#3fa9f5"/>{shapes}'
    document = art.document(text, 32.0, 32.0)
    pixels = art.draw(document, 40, 40)
    assert (pixels[..., 3] == 255).all()
    assert np.array_equal(art.draw_opaque(document, 40, 40), pixels[..., :3])
