"""Garments of figures: what each outfit covers, its colours, and its details."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from daguerre.models.embedded.drawing.colour import light, shade
from daguerre.models.embedded.drawing.svg import box, path, symbols


@dataclass(frozen=True)
class Outfit:
    """The clothes of a figure. Colours are "" where the figure varies or has none."""

    main: str = ""  # the upper part, or all of a dress
    sleeves: float = 0.45  # share of the arms
    legs: float = 0.95  # share of the legs; 0 for bare legs
    legwear: str = ""
    skirt: float = 0.0  # share of the legs
    flare: float = 13.0  # how much wider the hem of a skirt is
    shoes: str = "#3d3430"
    trim: str = ""
    gloves: str = ""
    details: tuple[str, ...] = ()


OUTFITS: dict[str, Outfit] = {
    "t-shirt": Outfit(),
    "shirt": Outfit(sleeves=0.92, details=("collar", "buttons")),
    "sweater": Outfit(sleeves=0.95, details=("hem",)),
    "hoodie": Outfit(sleeves=0.95, details=("hood", "pocket")),
    "jacket": Outfit(sleeves=0.95, details=("open",)),
    "coat": Outfit(sleeves=0.96, skirt=0.42, flare=5, details=("lapels", "buttons", "belt")),
    "suit": Outfit(
        "#343b52", sleeves=0.95, legwear="same", shoes="#26222a", details=("lapels", "tie")
    ),
    "dress": Outfit(sleeves=0.25, legs=0, skirt=0.55, flare=15, details=("waist",)),
    "gown": Outfit(sleeves=0.3, legs=0, skirt=0.97, flare=21, details=("waist", "panel")),
    "kimono": Outfit(
        sleeves=0.85,
        legs=0,
        skirt=0.93,
        flare=4,
        trim="#fff3e0",
        details=("wrap", "obi", "wide sleeves"),
    ),
    "robe": Outfit(sleeves=0.95, legs=0, skirt=0.95, flare=10, details=("wide sleeves", "rope")),
    "swimsuit": Outfit(sleeves=0, legs=0.0, shoes="", details=("bare shoulders", "swimsuit")),
    "uniform": Outfit("#31508f", 0.95, legwear="same", details=("collar", "tie", "belt", "badge")),
    "turnout": Outfit(
        "#c98a2b", 0.95, legwear="same", shoes="#2a2a2e", trim="#f7f06d", details=("bands",)
    ),
    "armor": Outfit(
        "#aab4c2",
        0.97,
        legwear="same",
        shoes="#6d7886",
        trim="#7d8896",
        gloves="#7d8896",
        details=("plates",),
    ),
    "spacesuit": Outfit(
        "#f2f4f8",
        0.97,
        legwear="same",
        shoes="#9aa5b5",
        gloves="#9aa5b5",
        details=("panel box", "pack"),
    ),
    "apron": Outfit("#f4f4f4", 0.92, details=("apron",)),
    "overalls": Outfit("#d9534f", 0.92, legwear="#3f68a8", details=("overalls",)),
    "lab coat": Outfit(
        "#fbfcfe", 0.96, skirt=0.42, flare=4, trim="#9fc6d8", details=("lapels", "buttons")
    ),
    "jersey": Outfit(sleeves=0.42, legs=0.42, legwear="#ffffff", details=("number", "socks")),
    "cape": Outfit(
        sleeves=0.95,
        legwear="same",
        shoes="#d9342b",
        trim="#d9342b",
        details=("cape", "emblem", "belt"),
    ),
    "tutu": Outfit(
        "#f6a5c8",
        0,
        legs=0.95,
        legwear="#fbe3ee",
        skirt=0.3,
        flare=30,
        shoes="#f08bb7",
        details=("bare shoulders",),
    ),
    "ninja suit": Outfit(
        "#2a2c38", 0.97, legwear="same", shoes="#1f2029", gloves="#1f2029", details=("sash", "mask")
    ),
    "pyjamas": Outfit(sleeves=0.95, legwear="same", shoes="#f7c6d6", details=("collar", "buttons")),
    "vest": Outfit("#f3f1ea", 0.92, details=("vest",)),
    "cardigan": Outfit(sleeves=0.95, details=("open", "buttons")),
    "samurai armor": Outfit(
        "#9c2f35",
        0.9,
        legwear="#2b2b36",
        skirt=0.35,
        flare=8,
        trim="#e0b354",
        details=("plates of a samurai",),
    ),
    "shorts": Outfit(legs=0.42),
    "raincoat": Outfit(
        "#ffcf33", 0.95, skirt=0.4, flare=8, shoes="#e0443a", details=("buttons", "hood")
    ),
}


# The usual colour of each hat, and of other things on the head or neck.
HATS = {
    "top hat": "#2c2c34",
    "crown": "#ffc93c",
    "helmet": "#e0443a",
    "cap": "#3567c9",
    "wizard hat": "#4b3fa7",
    "straw hat": "#ecc766",
    "cowboy hat": "#8d5a33",
    "santa hat": "#d9342b",
    "party hat": "#ff6fae",
    "chef hat": "#f1f3f8",
    "pirate hat": "#26262e",
    "beanie": "#e2574c",
    "glasses": "#26262c",
    "sunglasses": "#26262c",
    "scarf": "#d9453d",
    "bow": "#ff5d8f",
    "headphones": "#33343d",
    "tiara": "#ffd75e",
    "police cap": "#27407a",
    "graduation cap": "#2b2d42",
    "headband": "#e0443a",
    "beret": "#c0392b",
    "veil": "#ffffff",
    "fairy crown": "#ff8fc0",
    "horned helmet": "#8d99a8",
    "knight helmet": "#aab4c2",
    "samurai helmet": "#8c2a30",
    "space helmet": "#e3e8ef",
    "mask": "#2a2c38",
    "nun": "#2b2b36",
    "headscarf": "#7a6fb0",
    "turban": "#e08a2e",
    "halo": "#ffd75e",
    "fedora": "#8a6a42",
    "bearskin": "#26232a",
    "sailor cap": "#eef2f8",
}
WARDROBE = symbols(Path(__file__).with_name("wardrobe.svg"))
PROPS = symbols(Path(__file__).with_name("props.svg"))
_ROLE = re.compile(r'"(main|dark|light|trim|legs)"')


def behind(outfit: Outfit, main: str) -> str:
    """A cape or a pack behind the body."""
    if "cape" in outfit.details:
        cape = outfit.trim if outfit.trim != main else shade(main, 0.3)
        return path(
            cape,
            "M46 46L74 46C84 74 92 104 94 128C82 122 72 130 60 126"
            "C48 130 38 122 26 128C28 104 36 74 46 46z",
        )
    if "pack" in outfit.details:
        return box("#c3ccd8", 40, 46, 40, 44, 7)
    return ""


def torso(outfit: Outfit, main: str, skin: str) -> str:
    """The upper body."""
    shape = "M52 44L68 44C77 45 79 50 78 58L73.5 80 75 98 45 98 46.5 80 42 58C41 50 43 45 52 44z"
    if "swimsuit" in outfit.details:
        suit = (
            "M50 46L53 46C55 56 65 56 67 46L70 46C71 54 73 58 74 62L72.5 80 74.5 96"
            "C70 101 66 102 60 102C54 102 50 101 45.5 96L47.5 80 46 62C47 58 49 54 50 46z"
        )
        return path(skin, shape) + path(main, suit)
    found = path(main, shape)
    if "bare shoulders" in outfit.details:
        found += path(
            skin,
            "M52 44L68 44C76 45 78 48 78.6 52L68 50C66 57 54 57 52 50L41.4 52C42 48 44 45 52 44z",
        )
        return found
    return found + path(skin, "M54.5 43.5L65.5 43.5C65 50 55 50 54.5 43.5z")


def worn(name: str, main: str, trim: str = "", legs: str = "") -> str:
    """A hat or a detail of a garment, in its colours; "" for an unknown name."""
    colours = {
        "main": main,
        "dark": shade(main, 0.2),
        "light": light(main, 0.45),
        "trim": trim or light(main, 0.55),
        "legs": legs,
    }
    found = WARDROBE.get(name.replace(" ", "-"), "")
    return _ROLE.sub(lambda role: f'"{colours[role[1]]}"', found)


def details(outfit: Outfit, main: str, legs: str) -> str:
    """The details on the upper body and the skirt."""
    return "".join(worn(name, main, outfit.trim, legs) for name in outfit.details)
