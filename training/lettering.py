"""Captions of scenes with words: the surface, the words' placeholder, and who has them.

A caption has the placeholder that the server puts in place of quoted words. Two fields of templates
are phrases of their own: `{core}` is the surface with its words and its relation to the things.
"""

from __future__ import annotations

from daguerre.models.embedded.quoted_words import PLACEHOLDER
from training.grammar import article
from training.relating import Relating
from training.wording import INSIDE, TERRAIN_WORDS

# Names of each surface; after a colour word, those before the bar are used.
SURFACE_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sign": (
        ("sign", "sign", "sign", "placard", "board", "signboard", "signpost", "plaque"),
        ("wooden sign", "small sign", "street sign", "big sign", "warning sign", "protest sign"),
    ),
    "banner": (("banner", "banner", "ribbon", "flag", "pennant"), ("big banner", "cloth banner")),
    "shirt": (
        ("t-shirt", "shirt", "tee", "hoodie", "sweater", "jersey", "sweatshirt"),
        ("cotton t-shirt", "plain t-shirt"),
    ),
    "wall": (("wall", "wall", "brick wall"), ("brick wall", "old brick wall", "graffiti wall")),
    "book": (("book", "book cover", "novel", "notebook"), ("old book", "closed book")),
    "cake": (("cake", "birthday cake", "cake"), ("birthday cake", "wedding cake", "big cake")),
    "poster": (
        ("poster", "poster", "flyer", "print", "movie poster"),
        ("movie poster", "concert poster", "framed poster", "vintage poster"),
    ),
    "chalkboard": (
        ("chalkboard", "blackboard"),
        ("chalkboard", "blackboard", "menu board", "school board"),
    ),
    "neon": (
        ("neon sign", "neon light", "neon lettering"),
        ("neon sign", "glowing neon sign", "bright neon sign", "led sign"),
    ),
    "storefront": (
        ("shop", "storefront", "store", "cafe", "building"),
        ("bakery", "small shop", "cafe", "coffee shop", "restaurant", "bookstore", "shop front"),
    ),
    "bubble": (("speech bubble", "speech balloon"), ("comic speech bubble", "text bubble")),
    "billboard": (("billboard", "billboard"), ("large billboard", "advertising billboard")),
    "paper": (
        ("piece of paper", "note", "card", "letter", "sheet of paper"),
        ("sticky note", "greeting card", "handwritten note", "postcard", "invitation"),
    ),
    "screen": (
        ("screen", "monitor", "computer screen"),
        ("computer", "computer monitor", "big screen", "tv screen"),
    ),
    "mug": (("mug", "cup", "coffee mug"), ("coffee cup", "coffee mug", "ceramic mug")),
}
_TITLED = {"book": ("titled", "called", "with the title"), "poster": ("titled", "with the title")}
_SHOPS = ("called", "named", "with the name")
SAYS = (
    *("that says {}", "that says {}", "that says {}", "saying {}", "saying {}", "which says {}"),
    *("that reads {}", "reading {}", "which reads {}", "with {}", "with {} on it", "{}"),
    *("with the words {}", "with the word {}", "with the text {}", "with the message {}"),
    *("with {} written on it", "that has {} written on it", "with {} in big letters"),
    *("with the inscription {}", "with the letters {}", "labeled {}", "that spells {}"),
    *("showing the text {}", "bearing the words {}", "with {} in bold letters", "displaying {}"),
    *("with {} printed on it", "with text {}", "with the slogan {}", "with the phrase {}"),
)
# The surface and its words, by the relation of the first thing to it; "" is for no thing.
CORES: dict[str, tuple[str, ...]] = {
    "": (
        "{bearer}",
        "{bearer}",
        "{bearer}",
        "{bearer}",
        "{words} {bare_surface}",
        "a {words} {bare_surface}",
        "{words} on {a_surface}",
        "{words} written on {a_surface}",
        "the words {words} on {a_surface}",
        "the text {words} on {a_surface}",
        "the word {words} painted on {a_surface}",
        "{bare_surface}, {words}",
        "{bare_surface} with text {words}",
        "text {words}, {bare_surface}",
        "{a_surface}. It says {words}",
    ),
    "holding": (
        "{first} holding {bearer}",
        "{first} holding {bearer}",
        "{first} holding {bearer}",
        "{first} holding up {bearer}",
        "{first} with {bearer}",
        "{first} carrying {bearer}",
        "{first} holds {bearer}",
        "{first} showing {bearer}",
        "{first} that is holding {bearer}",
        "{bare1} holding {bearer}",
        "{bearer} held by {first}",
        "{first} holding {a_surface}. The {bare_surface} says {words}",
        "{first}, {bare_surface}, {words}",
    ),
    "wearing": (
        "{first} wearing {bearer}",
        "{first} wearing {bearer}",
        "{first} in {bearer}",
        "{first} with {bearer}",
        "{first} wears {bearer}",
        "{first} dressed in {bearer}",
        "{bearer} worn by {first}",
        "{bare1} wearing {bearer}",
        "{first} that wears {bearer}",
        "{first} wearing {a_surface}. It says {words}",
    ),
    "says": (
        "{first} saying {words}",
        "{first} saying {words}",
        "{first} says {words}",
        "{first} that says {words}",
        "{first} with {bearer}",
        "{first} and {bearer}",
        "{first} shouting {words}",
        "{first} thinking {words}",
        "{first} asking {words}",
        "{bare1} saying {words}",
        "comic of {first} saying {words}",
        "{bearer} above {first}",
    ),
    "beside": (
        "{first} next to {bearer}",
        "{first} beside {bearer}",
        "{first} standing next to {bearer}",
        "{first} by {bearer}",
        "{first} near {bearer}",
        "{first} and {bearer}",
        "{bearer} next to {first}",
        "{bearer} and {first}",
        "{bare1} and {bearer}",
        "{first} with {bearer}",
    ),
    "left": (
        "{first} to the left of {bearer}",
        "{first} on the left of {bearer}",
        "{first} left of {bearer}",
        "{bearer} to the right of {first}",
        "{first} on the left and {bearer} on the right",
    ),
    "right": (
        "{first} to the right of {bearer}",
        "{first} on the right of {bearer}",
        "{first} right of {bearer}",
        "{bearer} to the left of {first}",
        "{first} on the right and {bearer} on the left",
    ),
    "below": (
        "{first} under {bearer}",
        "{first} below {bearer}",
        "{first} beneath {bearer}",
        "{bearer} above {first}",
        "{bearer} over {first}",
    ),
    "on": (
        "{first} on {bearer}",
        "{first} sitting on {bearer}",
        "{first} on top of {bearer}",
        "{bearer} with {first} on top",
    ),
    "front": (
        "{first} in front of {bearer}",
        "{first} in front of {bearer}",
        "{first} standing in front of {bearer}",
        "{first} before {bearer}",
        "{bearer} behind {first}",
        "{bearer} with {first} in front",
    ),
}
LETTERED: dict[str, tuple[str, ...]] = {
    "lettering": (
        "{core}",
        "{core}",
        "{core}",
        "{core} {on_back}",
        "{core} {on_back}",
        "{core}, {style}",
        "{style} of {core}",
        "{core}, {back_tag}",
        "a picture of {core}",
        "{core} {on_back}, {style}",
        "a drawing of {core}",
        "{core}. {back_sentence}",
        "{core}, {back_tag}, {style}",
        "{unnamed}",
    ),
    "lettering outdoors": (
        "{core} {inside}",
        "{core} {inside}",
        "{core} {inside} {when}",
        "{core} {when}",
        "{core} {inside} {weather}",
        "{core}, {tag}, {time_noun}",
        "{style} of {core} {inside} {when}",
        "{core} {inside} {when}, {style}",
        "{terrain} with {core}",
        "{terrain} {when} with {core}",
        "{core} {inside}. {light_sentence}",
        "{core} {inside} {season}",
    ),
    "lettering indoors": (
        "{listed} {indoors} with {bearer} on the wall",
        "{furniture} with {listed} and {bearer}",
        "{listed} {indoors}, {bearer} on the wall",
        "{bearer} on the wall above {listed}",
        "{bearer} on the wall of {furniture} with {listed}",
        "{listed} under {bearer} {indoors}",
        "{bearer} {indoors} with {listed}",
        "{listed} and {bearer} {indoors}, {style}",
        "{listed} {indoors}. On the wall is {bearer}",
        "{bearer} hanging on a {back} wall above {listed}",
    ),
}
HELD_OUT_LETTERED: dict[str, tuple[str, ...]] = {
    "lettering": ("show me {core}", "look, {core} {on_back}", "{core}, please, {back_tag}"),
    "lettering outdoors": ("show me {core} {inside}", "look, {core} {inside} {when}"),
    "lettering indoors": (
        "show me {listed} {indoors} and {bearer} on the wall",
        "at home: {listed} {indoors} and {bearer}",
    ),
}
UNNAMED = (
    "the words {words} {on_back}",
    "the text {words} {on_back}",
    "text that says {words}",
    "the word {words} in big letters",
    "lettering that says {words} {on_back}",
    "typography that says {words}",
    "{words} written in bold letters",
    "{words}, typography, {back_tag}",
)


def lettering_family(kind: str) -> str:
    """Which list of templates fits a scene with words of a kind."""
    known = {"room": "lettering indoors", "landscape": "lettering outdoors"}
    return {**known, "mixed": "lettering outdoors"}.get(kind, "lettering")


class Lettering(Relating):
    """Words for a scene with lettering."""

    def _words(self) -> str:
        return PLACEHOLDER

    def _core(self) -> str:
        scene = self.scene
        key = scene.relation if scene.objects else ""
        key = "beside" if key == "and" else key
        if scene.lettering == "bubble" and scene.objects:
            key = "says"
        return self.one(CORES[key]).format_map(self)

    def _first(self) -> str:
        return self._listed() if self.scene.objects else ""

    def _bare1(self) -> str:
        return self.nth(0, False) if len(self.scene.objects) == 1 else self._listed()

    def _unnamed(self) -> str:
        """Words without their surface, which is a sign, or else with it."""
        scene = self.scene
        if scene.objects or scene.lettering_colour or scene.lettering != "sign":
            return f"{self._core()} {self._on_back()}"
        return self.one(UNNAMED).format_map(self)

    @property
    def _is_wall(self) -> bool:
        """True if bricks hide the background."""
        return self.scene.lettering == "wall"

    def _on_back(self) -> str:
        return "" if self._is_wall else super()._on_back()

    def _back_tag(self) -> str:
        return "" if self._is_wall else super()._back_tag()

    def _back_sentence(self) -> str:
        return "" if self._is_wall else super()._back_sentence()

    def _bare_surface(self) -> str:
        plain, more = SURFACE_NAMES[self.scene.lettering]
        colour = self.scene.lettering_colour
        if colour:
            colour = "grey" if colour == "gray" and self.chance(0.5) else colour
            return f"{colour} {self.one(plain)}"
        return self.one((*plain, *more))

    def _a_surface(self) -> str:
        name = self._bare_surface()
        return f"{article(name)} {name}"

    def _bearer(self) -> str:
        """The surface with its words."""
        surface = self.scene.lettering
        if surface in _TITLED and self.chance(0.35):
            return f"{self._a_surface()} {self.one(_TITLED[surface])} {PLACEHOLDER}"
        if surface == "storefront" and self.chance(0.4):
            return f"{self._a_surface()} {self.one(_SHOPS)} {PLACEHOLDER}"
        if self.chance(0.12):
            name = self._bare_surface()
            return f"a {PLACEHOLDER} {name}"
        return f"{self._a_surface()} {self.one(SAYS).format(PLACEHOLDER)}"

    def _inside(self) -> str:
        terrain = self.scene.terrain
        options = INSIDE.get(terrain)
        return self.one(options) if options else f"near {self.one(TERRAIN_WORDS[terrain][0])}"
