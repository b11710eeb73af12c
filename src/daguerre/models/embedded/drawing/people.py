"""The build, hair, clothes, pose and prop of each person that people.txt names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Person:
    """The usual figure of a name; values of "" vary with the figure."""

    build: str
    outfit: str
    hat: str
    colour: str
    hair: str
    hair_colour: str
    beard: str
    pose: str
    prop: str
    details: tuple[str, ...]
    others: tuple[str, ...]  # the figures beside this one


CELLS = ("build", "outfit", "hat", "colour", "hair", "hair_colour", "beard", "pose", "prop")
TABLE = Path(__file__).with_name("people.txt")


def parse(table: str) -> dict[str, Person]:
    """Parses the table; its first lines document the format of a row."""
    found = {}
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        name, *cells, last = line.split("|")
        details, _, group = last.partition("group:")
        fields = dict(zip(CELLS, cells, strict=True))
        found[name] = Person(**fields, details=_listed(details), others=_listed(group))
    return found


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word for word in words.split(",") if word)


PEOPLE = parse(TABLE.read_text(encoding="utf-8"))
# Variants: hair by build, and colours. The hair of the old is gray.
HAIR_STYLES = {
    "man": ("short", "spiky", "short", "curly"),
    "woman": ("long", "bob", "ponytail", "bun", "long", "curly"),
    "boy": ("short", "spiky", "curly", "short"),
    "girl": ("braids", "ponytail", "long", "bob"),
    "baby": ("bald",),
    "old man": ("ring", "short", "bald"),
    "old woman": ("bun", "bob", "bun"),
}
CASUAL = {
    "man": ("t-shirt", "shirt", "sweater", "hoodie", "jacket"),
    "woman": ("dress", "t-shirt", "sweater", "dress", "jacket"),
    "boy": ("t-shirt", "hoodie", "shorts"),
    "girl": ("dress", "t-shirt", "dress"),
    "baby": ("pyjamas",),
    "old man": ("sweater", "shirt", "cardigan"),
    "old woman": ("dress", "sweater", "coat"),
}
SKINS = ("#f8d8c0", "#f2c6a0", "#dda577", "#b07648", "#80502f", "#f5ceb0")
HAIRS = ("#2c2422", "#4e3223", "#7b4b28", "#b87d3f", "#e8c266", "#a8431f")
GRAYS = ("#d5d6da", "#b9bbc2", "#eceef1")
TROUSERS = ("#37517e", "#3a3d4a", "#6b5a48", "#4b6a5a", "#2f3e5c", "#8a6f52")
GARMENTS = (
    *("#e5544b", "#3f7fd0", "#43a86b", "#f2b33d", "#8a63c9"),
    *("#ef7fae", "#2fa7b0", "#f08a3c", "#5a6b85"),
)
