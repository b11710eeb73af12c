"""Noun phrases for people, and for animals with hats: who, what they do, and what they wear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.people import PEOPLE
from training.grammar import UNCOUNTED, article, plural
from training.wording import ACTS, NUMBERS

POSE_WORDS: dict[str, tuple[str, ...]] = {
    "sitting": ("sitting", "sitting", "sitting down", "seated", "sitting on the ground"),
    "walking": ("walking", "walking", "strolling", "taking a walk", "going for a walk"),
    "running": ("running", "running", "jogging", "sprinting", "on a run"),
    "waving": ("waving", "waving", "waving hello", "saying hello", "waving a hand"),
    "jumping": ("jumping", "jumping", "leaping", "jumping for joy", "jumping in the air"),
    "dancing": ("dancing", "dancing", "dancing happily"),
    "reading": ("reading", "reading a book", "reading a book", "with an open book"),
    "sleeping": ("sleeping", "sleeping", "asleep", "taking a nap", "lying down", "napping"),
    "cheering": ("cheering", "celebrating", "with raised arms", "with both arms up"),
    "singing": ("singing", "singing", "singing a song"),
    "kneeling": ("kneeling", "kneeling", "on one knee", "kneeling down"),
}
# Those of them that can stand before a noun.
BEFORE = frozenset("sitting walking running waving jumping dancing reading sleeping".split()) | {
    *("seated", "jogging", "cheering", "singing", "kneeling", "leaping")
}
OUTFIT_WORDS: dict[str, tuple[str, ...]] = {
    "dress": ("dress", "dress", "dress", "summer dress", "sundress"),
    "suit": ("suit", "suit", "business suit", "suit and tie"),
    "coat": ("coat", "coat", "trench coat", "long coat", "overcoat"),
    "armor": ("armor", "armor", "armour", "shining armor", "plate armor"),
    "uniform": ("uniform",),
    "swimsuit": ("swimsuit", "swimsuit", "bathing suit"),
    "kimono": ("kimono",),
    "hoodie": ("hoodie", "hoodie", "hooded sweatshirt"),
    "spacesuit": ("spacesuit", "space suit", "astronaut suit"),
    "robe": ("robe", "robe", "long robe"),
    "sweater": ("sweater", "sweater", "jumper", "pullover"),
    "t-shirt": ("t-shirt", "t-shirt", "tee shirt", "tshirt"),
    "shirt": ("shirt",),
    "jacket": ("jacket",),
    "gown": ("gown", "ball gown", "evening gown", "long dress"),
    "apron": ("apron",),
    "overalls": ("overalls", "dungarees"),
    "lab coat": ("lab coat",),
    "cape": ("cape", "superhero cape"),
    "pyjamas": ("pyjamas", "pajamas"),
    "raincoat": ("raincoat", "rain jacket"),
}
HAT_WORDS: dict[str, tuple[str, ...]] = {
    "top hat": ("top hat", "top hat", "tall hat"),
    "crown": ("crown", "crown", "golden crown"),
    "helmet": ("helmet",),
    "cap": ("cap", "baseball cap"),
    "wizard hat": ("wizard hat", "pointy hat", "witch hat", "wizard's hat"),
    "straw hat": ("straw hat", "straw hat", "sun hat"),
    "cowboy hat": ("cowboy hat",),
    "santa hat": ("santa hat", "christmas hat"),
    "party hat": ("party hat", "birthday hat"),
    "chef hat": ("chef hat", "chef's hat"),
    "pirate hat": ("pirate hat",),
    "beanie": ("beanie", "woolly hat", "winter hat", "knit cap"),
    "glasses": ("glasses", "glasses", "eyeglasses"),
    "sunglasses": ("sunglasses", "sunglasses", "shades"),
    "scarf": ("scarf", "scarf", "warm scarf"),
    "bow": ("bow", "bow in the hair", "hair bow"),
    "headphones": ("headphones",),
}
WITHOUT_ARTICLE = frozenset(
    "armor armour overalls dungarees pyjamas pajamas glasses eyeglasses".split()
)
WITHOUT_ARTICLE |= {"shining armor", "plate armor", "sunglasses", "shades", "headphones"}


def _stands(scene: Scene, item: SceneObject) -> bool:
    """True for a figure without another pose or activity, which a caption may call standing."""
    acts = scene.relation in (*ACTS, "on", "beside", "in")
    return is_figure(item) and not acts and PEOPLE[item.name].pose in ("", "standing")


class Chooser(Protocol):
    """Draws words at random for a scene."""

    scene: Scene

    def one(self, options: Sequence[str], /) -> str: ...

    def chance(self, share: float, /) -> bool: ...


def person(words: Chooser, item: SceneObject, adjective: str, with_article: bool) -> str:
    """A person or some people with what is said of them."""
    row = things.BY_NAME[item.name]
    noun = words.one(row.synonyms) if row.synonyms and words.chance(0.25) else row.name
    before, after = adjective, []
    is_animal = not is_figure(item)
    if is_animal:
        colour = item.colour or (row.colour if words.chance(0.3) else "")
        before, item = f"{adjective} {colour}", replace(item, colour="")
    if item.pose:
        doing = words.one(POSE_WORDS[item.pose])
        if doing in BEFORE and words.chance(0.25):
            before = f"{before} {doing}"
        else:
            after = [doing if words.chance(0.85) or item.count != 1 else f"who is {doing}"]
    elif words.chance(0.06) and _stands(words.scene, item):
        after = ["standing"]
    worn = clothes(words, item)
    after = [*worn, *after] if words.chance(0.7) else [*after, *worn]
    if item.count != 1:
        number = words.one(NUMBERS[item.count]) if item.count else ""
        return " ".join(f"{number} {before} {plural(noun)} {' '.join(after)}".split())
    found = " ".join(f"{before} {noun} {' '.join(after)}".split())
    if not with_article or noun in UNCOUNTED:
        return found
    return f"{article(found)} {found}"


def clothes(words: Chooser, item: SceneObject) -> list[str]:
    """Phrases for outfit, colour and hat."""
    colour = "grey" if item.colour == "gray" and words.chance(0.5) else item.colour
    hat = words.one(HAT_WORDS[item.hat]) if item.hat else ""
    hat = hat if hat in WITHOUT_ARTICLE or not hat else f"{article(hat)} {hat}"
    if not item.outfit and not colour:
        return [_with_hat(words, hat)] if hat else []
    if item.outfit:
        text = f"{colour} {words.one(OUTFIT_WORDS[item.outfit])}".strip()
        bare = any(text.endswith(word) for word in WITHOUT_ARTICLE)
        text = text if bare else f"{article(text)} {text}"
        verb = words.one(("in", "in", "wearing", "wearing", "dressed in", "with"))
    else:
        text = words.one((colour, f"{colour} clothes", f"{colour} clothing"))
        verb = words.one(("in", "in", "wearing", "dressed in"))
    if hat and words.chance(0.5):
        return [f"{verb} {text} and {hat}"]
    return [f"{verb} {text}", _with_hat(words, hat)] if hat else [f"{verb} {text}"]


def _with_hat(words: Chooser, hat: str) -> str:
    return f"{words.one(('wearing', 'wearing', 'with', 'in'))} {hat}"
