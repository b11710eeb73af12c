"""Captions of scenes with words: the surface, the words' placeholder, and who has them.

A caption has the placeholder that the server puts in place of quoted words. `lettering_templates`
has the templates; `{core}` and `{unnamed}` in them are phrases of their own.
"""

from __future__ import annotations

from daguerre.models.embedded.quoted_words import PLACEHOLDER
from training.grammar import article
from training.lettering_templates import CORES, UNNAMED
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
