"""Packs the art that the package ships: for every thing its looks, and what they are drawn with.

    python -m training.art

A look is an icon of one of the sets in `training.assets`; up to three are taken for a thing, in the
order of its slugs. What shows something else, fills its square like a box, or is not drawn as its
set means it, is left out, and so are parts of another picture (`training.cleaning`). The result
depends on the pinned packages and the tables alone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from daguerre.models.embedded.drawing import animals, art, figures, things
from training import assets
from training.cleaning import cleaned

NUM_LOOKS = 3
# Wrong looks, found by eye: another thing, a part where a whole animal is needed in a
# landscape, or a picture that shows more than the name.
WRONG = frozenset(
    {
        ("twemoji", "tennis"),
        ("twemoji", "eagle"),
        ("twemoji", "raccoon"),
        ("twemoji", "deer"),
        ("twemoji", "zebra"),
        ("twemoji", "rhinoceros"),
        ("twemoji", "gorilla"),
        ("twemoji", "boar"),
        ("fxemoji", "boar"),
        ("twemoji", "pouring-liquid"),
    }
)
# Looks whose masks ThorVG 1.0 draws otherwise than a browser: of 3,320, those whose pixels differ
# from resvg's by more than 4.5 of 255 in the mean (128 pixels, 2026-11-24).
MISDRAWN = frozenset(
    ("noto", icon)
    for icon in (
        "face-screaming-in-fear",
        "anxious-face-with-sweat",
        "face-in-clouds",
        "harp",
        "thinking-face",
        "face-with-open-eyes-and-hand-over-mouth",
        "face-with-hand-over-mouth",
        "oncoming-fist",
        "raised-fist",
        "index-pointing-at-the-viewer",
        "ear",
    )
)


def looks(thing: things.Thing) -> list[art.Look]:
    """Up to three (set, icon) pairs that show the thing; the first slug comes first."""
    found: list[art.Look] = []
    for name, icon, chosen in _candidates(thing.slugs):
        if len(found) == NUM_LOOKS:
            break
        if _body(name, icon) is not None and (chosen or not _unfit(name, icon)):
            found.append((name, icon))
    return found


def _candidates(slugs: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    """Every pair that could be a look: a slug is tried in each pack, set:slug is chosen by eye."""
    for slug in slugs:
        name, _, icon = slug.rpartition(":")
        for pack in (name,) if name else assets.PACKS:
            yield pack, icon, bool(name)


def _body(name: str, icon: str) -> art.Drawn | None:
    if name == animals.WHOLE:
        part = assets.body(*animals.source(icon))
        return part and animals.drawn(icon, part)
    if name in ("drawn", figures.FIGURE):
        return things.drawn((name, icon))
    return assets.body(name, icon)


def _unfit(name: str, icon: str) -> bool:
    return (name, icon) in WRONG | MISDRAWN or _framed(name, icon)


def _framed(name: str, icon: str) -> bool:
    """True when the icon fills its whole square, which would show as a box in a scene."""
    drawn = _body(name, icon)
    assert drawn is not None
    alpha = art.draw(art.document(*drawn), 32, 32)[3:29, 3:29, 3]
    ring = [*alpha[0], *alpha[-1], *alpha[:, 0], *alpha[:, -1]]
    corners = alpha[[0, 0, -1, -1], [0, -1, 0, -1]] > 128
    return bool(corners.sum() >= 3 and sum(a > 128 for a in ring) > 0.9 * len(ring))


def pack() -> bytes:
    """art.json.gz, the same bytes on every machine."""
    chosen = {thing.name: found for thing in things.THINGS if (found := looks(thing))}
    icons: dict[str, dict[str, art.Drawn]] = {}
    used = {look for found in chosen.values() for look in found}
    used |= {animals.source(icon) for name, icon in used if name == animals.WHOLE}
    for name, icon in sorted(used):
        drawn = assets.body(name, icon) if name in assets.PACKS else None
        if drawn is not None:
            icons.setdefault(name, {})[icon] = cleaned((name, icon), drawn)
    text = json.dumps({"looks": chosen, "icons": icons}, separators=(",", ":"))
    return gzip.compress(text.encode(), 9, mtime=0)


def main() -> None:
    assets.fetch()
    assets.update(art.ART, pack())


if __name__ == "__main__":
    main()
