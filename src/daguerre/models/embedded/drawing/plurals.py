"""Plurals of English nouns: those of the table of things and of the kinds of objects."""

from __future__ import annotations

IRREGULAR = {
    "person": "people",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "mouse": "mice",
    "goose": "geese",
    "ox": "oxen",
    "die": "dice",
    "cactus": "cacti",
    "bacterium": "bacteria",
    "fleur-de-lis": "fleurs-de-lis",
    "monarch": "monarchs",
} | {word: word[:-1] + "ves" for word in ("leaf", "elf", "wolf", "loaf", "scarf", "sheaf")}
IRREGULAR |= {"knife": "knives", "bookshelf": "bookshelves", "shelf": "shelves"}
# Nouns with equal singular and plural.
SAME = frozenset(
    "fish jellyfish pufferfish blowfish angelfish starfish sheep deer reindeer moose elk bison "
    "buffalo squid shrimp aircraft dice crossbones thread dango gyoza jiaozi senbei onigiri "
    "narutomaki torii moai kadomatsu koinobori oni".split()
)
TAKE_ES = ("s", "x", "ch", "sh", "tomato", "potato", "mango", "mosquito", "volcano", "tornado")


def plural(noun: str) -> str:
    """The plural of a noun of one or more words, of which the last one changes."""
    before, space, word = noun.rpartition(" ")
    return before + space + plural_word(word)


def plural_word(word: str) -> str:
    """The plural of a noun of one word."""
    if word in SAME:
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("man"):
        return word[:-3] + "men"
    if word.endswith((*TAKE_ES, "hero")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
