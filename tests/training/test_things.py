"""The table of things, and the art: what a cache may hold, found without any network."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import assets, things
from training.recolouring import COLOURS, main_colour
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


def test_rows_use_the_letters_of_the_table() -> None:
    """Names occur once, and kinds, places and colours are among those that the rest knows."""
    names = Counter(thing.name for thing in things.THINGS)
    assert names.most_common(1)[0][1] == 1
    for thing in things.THINGS:
        assert thing.kind in tuple("afnvbopk") and thing.place in tuple("gwsui"), thing
        assert thing.colour in ("", *COLOURS) and all(thing.slugs), thing


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


@needs_art
def test_every_thing_has_a_look() -> None:
    """With the art at hand, no row of the table is without an icon."""
    for thing in things.THINGS:
        looks = things.looks(thing)
        assert looks, thing.name
        assert all(things.art(*look) is not None for look in looks)
