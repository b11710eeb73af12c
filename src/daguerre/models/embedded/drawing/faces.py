"""Heads of figures: hair, faces and beards, around a head with the centre (60, 26)."""

from __future__ import annotations

from daguerre.models.embedded.drawing.colour import hexa, mix, rgb, shade
from daguerre.models.embedded.drawing.svg import oval, path, scaled, stroke

INK = "#2b2526"
NECK = (60, 44)  # the point that stays when a head is larger
_FRINGE = "M44.6 27C41.5 5 78.5 5 75.4 27C73 19.5 69 16 63 16.5C56 18.5 48 18 44.6 27z"
_PARTED = "M44.2 30C40 4 80 4 75.8 30C74.5 21 69 17 62 13.5C56 19 48 20 44.2 30z"
_HOODED = "M43.5 31C39 2 81 2 76.5 31C75 20 68 15.5 60 15.5C52 15.5 45 20 43.5 31z"


def hair_behind(style: str, colour: str, size: float = 1.0) -> str:
    """The hair behind the head and the shoulders, at the size of the head."""
    return scaled(_hair_behind(style, colour), size, *NECK)


def _hair_behind(style: str, colour: str) -> str:
    if style == "long":
        return path(shade(colour, 0.1), "M43 25C40 2 80 2 77 25L80 60C72 66 48 66 40 60z")
    if style == "bob":
        return path(shade(colour, 0.1), "M43 25C40 3 80 3 77 25L78 41C71 45 49 45 42 41z")
    if style == "ponytail":
        return path(shade(colour, 0.1), "M70 13C91 10 95 34 86 54C82 47 82 36 76 30z")
    if style == "bun":
        return oval(shade(colour, 0.1), 60, 7.5, 8, 7)
    if style == "curly":
        return "".join(
            oval(shade(colour, 0.1), x, y, 8.5, 8.5)
            for x, y in ((45, 32), (42.5, 22), (48, 12), (60, 8.5), (72, 12), (77.5, 22), (75, 32))
        )
    if style == "braids":
        return "".join(
            oval(colour, 60 + side * x, y, 4.6, 5.4)
            for side in (-1, 1)
            for x, y in ((17, 34), (18, 42), (18, 50), (17, 57))
        )
    return ""


def hair_in_front(style: str, colour: str) -> str:
    """The hair on the head."""
    if style in ("", "bald"):
        return ""
    if style == "ring":
        return path(colour, "M44 31C42 24 44 19 47 17C47 23 46 27 46 32z") + path(
            colour, "M76 31C78 24 76 19 73 17C73 23 74 27 74 32z"
        )
    if style == "curly":
        return path(colour, _FRINGE) + "".join(
            oval(colour, x, y, 5.5, 5) for x, y in ((50, 15), (58, 12.5), (66, 13), (72, 17))
        )
    if style == "spiky":
        return path(
            colour,
            "M44.5 27L42 14 49 14 50 6 57 10 62 3 66 10 73 7 72 14 78 15 75.4 27"
            "C72 20 66 17 60 18C53 19 48 20 44.5 27z",
        )
    shape = {"long": _PARTED, "bob": _HOODED, "bun": _HOODED, "braids": _PARTED}
    return path(colour, shape.get(style, _FRINGE))


def face(skin: str, is_asleep: bool, has_lashes: bool, is_old: bool) -> str:
    """Eyes, cheeks, nose and mouth."""
    cheek = hexa(mix(rgb(skin), rgb("#e8505b"), 0.28))
    found = oval(cheek, 51, 31.5, 3.2, 2.1) + oval(cheek, 69, 31.5, 3.2, 2.1)
    for x in (54.5, 65.5):
        if is_asleep:
            found += stroke(INK, 1.3, f"M{x - 2.4} 27.4Q{x} 29.6 {x + 2.4} 27.4")
            continue
        found += oval(INK, x, 27, 1.75, 2.35)
        if has_lashes:
            side = -1 if x < 60 else 1
            found += stroke(INK, 0.9, f"M{x + side * 1.3} 26.3l{side * 2} -.9")
        if is_old:
            found += stroke(shade(skin, 0.25), 0.8, f"M{x - 2.2} 31.4q2.2 1.3 4.4 0")
    return found + stroke("#8a3d36", 1.5, "M56.2 34Q60 37.4 63.8 34")


def beard(colour: str, is_long: bool) -> str:
    low = "60 62" if is_long else "60 51"
    side = 55 if is_long else 47
    return path(
        colour,
        f"M45 25C45 36 46 {side - 6} 52 {side}L{low} 68 {side}C74 {side - 6} 75 36 75 25"
        "C73 31 69 31 60 31C51 31 47 31 45 25z",
    ) + stroke("#8a3d36", 1.6, "M56.6 35.4Q60 37.8 63.4 35.4")
