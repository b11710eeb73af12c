"""English forms for captions: articles, plurals, adjectives, and commas that are left over.

It covers the nouns of the table of things and the phrases of `wording`, not English at large.
"""

from __future__ import annotations

UNCOUNTED = frozenset(
    "grapes cherries blueberries broccoli bread french fries popcorn sushi noodles salad cheese "
    "jeans shorts socks headphones sunglasses fireworks fallen leaves pancakes peas corn".split()
) | {
    "french fries",
    "fallen leaves",
    "autumn leaves",
    "fries",
    "tomatoes",
    "garlic",
    "fire",
    "lightning",
    "coffee",
    "beer",
    "chocolate",
    "ramen",
    "trousers",
    "milk",
    "pasta",
    "yarn",
    "peanuts",
    "beans",
    "olives",
    "santa claus",
    "santa",
    "saturn",
    "wheat",
    "earth",
    "coral",
}
DEFINITE = {"sun": "the sun", "moon": "the moon", "earth": "the earth"}
IRREGULAR = {
    "fish": "fish",
    "sheep": "sheep",
    "mouse": "mice",
    "deer": "deer",
    "wolf": "wolves",
    "goose": "geese",
    "octopus": "octopuses",
    "jellyfish": "jellyfish",
    "squid": "squid",
    "tropical fish": "tropical fish",
    "pufferfish": "pufferfish",
    "cactus": "cacti",
    "blowfish": "blowfish",
    "bull": "bulls",
    "wheat": "wheat",
}


def article(words: str) -> str:
    return (
        "an"
        if words[:1] in "aeiou"
        and not words.startswith(("unicorn", "ufo", "one", "u"))
        or words.startswith("umbrella")
        else "a"
    )


def add_adjective(phrase: str, adjective: str) -> str:
    """Set an adjective after a phrase's article, or before a bare noun."""
    first, _, rest = phrase.partition(" ")
    if first in ("a", "an"):
        return f"{article(adjective)} {adjective} {rest}"
    return f"the {adjective} {rest}" if first == "the" else f"{adjective} {phrase}"


def plural(noun: str) -> str:
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun in UNCOUNTED else noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def clean(text: str) -> str:
    """Collapse what empty fields leave behind."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".")
    while ",," in text or ", ," in text:
        text = text.replace(", ,", ",").replace(",,", ",")
    text = " ".join(text.split()).strip(" ,")
    for wrong, right in (
        (" a a", " an a"),
        (" a o", " an o"),
        (" a i", " an i"),
        (" a e", " an e"),
    ):
        text = (" " + text).replace(wrong, right).strip()
    return text
