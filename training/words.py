"""Caption words for one scene: a method for each field of a template chooses the words.

`Words` covers nouns with their colours, sizes and counts, grounds, landscapes and light. `relating`
adds several objects, indoor settings and styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.grounds import PATTERNED
from daguerre.models.embedded.drawing.scene import RIDGED
from daguerre.models.embedded.kinds import KINDS
from training import describing
from training.grammar import DEFINITE, UNCOUNTED, add_adjective, article, plural
from training.people import person
from training.places import MOON_DETAILS
from training.weather import (
    LIGHT_SENTENCES,
    TIME_NOUNS,
    TIME_OF_DAY,
    TIME_PHRASES,
    WEATHER_ADJECTIVES,
    WEATHER_PHRASES,
    WEATHER_TAGS,
)
from training.wording import (
    ABOVE,
    GROUND_WORDS,
    INSIDE,
    NUMBERS,
    PRAISABLE,
    SEASONS,
    SIDES,
    SNOW_ADJECTIVE,
    STATURE_WORDS,
    TERRAIN_WORDS,
)

Option = TypeVar("Option")
KIND_SHARE = 0.15  # of the mentions of objects that have words for their kinds
SHADE_SHARE = 0.1  # of colours are said with one of these words, which say nothing of the hour
SHADES = ("dark", "light", "bright", "deep", "pale", "vivid")


class Words:
    """Draws words for one scene; each field of a template asks here once."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene, self.rng = scene, rng

    def one(self, options: Sequence[Option]) -> Option:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def __getitem__(self, name: str) -> str:
        return str(getattr(self, "_" + name)())

    # things

    def _noun(self, item: SceneObject | None = None) -> tuple[str, str]:
        """A name and the colour word before it, "" when none is said."""
        item = item or self.scene.objects[0]
        if item.look[0] == "glow":
            kind = self.one(("glowing mushroom", "luminous mushroom", "glowing mushroom"))
            return kind, item.colour if self.chance(0.6) else ""
        row = things.BY_NAME[item.name]
        noun = row.name
        kinds = [word for word in KINDS.get(noun, ()) if not word.endswith("s")]
        if kinds and self.chance(KIND_SHARE):
            noun = self.one(kinds)
        elif row.synonyms and self.chance(0.25):
            noun = self.one(row.synonyms)
        if item.colour:
            return noun, self._shade(item.colour) if self.chance(0.9) else ""
        return noun, row.colour if row.colour and self.chance(0.3) else ""

    def _shade(self, colour: str) -> str:
        """The word for a colour, in some cases after one for its shade."""
        word = self.one(("gray", "grey")) if colour == "gray" else colour
        shaded = self.chance(SHADE_SHARE) and colour not in ("black", "white")
        return f"{self.one(SHADES)} {word}" if shaded else word

    def adjective(self, item: SceneObject) -> str:
        """What is unusual about a thing, besides its colour: that it is tiny, or that it glows."""
        words = [self.one(STATURE_WORDS[item.stature])] if item.stature else []
        if item.glowing and item.look[0] != "glow":
            words.append(self.one(("glowing", "glowing", "shining")))
        return " ".join(words)

    def _thing(self) -> str:
        item = self.scene.objects[0]
        return self.named(item, self.adjective(item), False)

    def _a_thing(self) -> str:
        item = self.scene.objects[0]
        return self.named(item, self.adjective(item))

    def _a_nice_thing(self) -> str:
        item = self.scene.objects[0]
        row = things.BY_NAME.get(item.name)
        nice = (
            ("cute", "cute", "lovely", "simple")
            if row and row.kind in "ap"
            else ("simple", "lovely", "beautiful")
        )
        return self.named(item, f"{self.one(nice)} {self.adjective(item)}")

    def named(self, item: SceneObject, adjective: str = "", with_article: bool = True) -> str:
        """A thing with its number or article, an adjective, and its colour."""
        if is_figure(item) or item.hat:
            return person(self, item, adjective, with_article)
        noun, colour = self._noun(item)
        if not adjective and self.chance(describing.ADJECTIVE_SHARE):
            adjective = describing.adjective(item, self.one)
        if item.count != 1:
            number = self.one(NUMBERS[item.count]) if item.count else ""
            return f"{number} {adjective} {colour} {plural(noun)}"
        words = " ".join(f"{adjective} {colour} {noun}".split())
        if not with_article:
            return words
        if noun in DEFINITE and words == noun:
            return DEFINITE[noun]
        return words if noun in UNCOUNTED or noun in ("the sun",) else f"{article(words)} {words}"

    # grounds

    def _back(self) -> str:
        name = self.scene.background
        return "grey" if name == "gray" and self.chance(0.5) else name

    def _on_back(self) -> str:
        if self.scene.ground == "dark":
            return self.one(("in the dark", "on a black background", "in darkness", "on black"))
        back = self._back()
        if self.scene.ground in PATTERNED:
            adjective, nouns = self.one(GROUND_WORDS[self.scene.ground])
            return self.one(
                (
                    f"on a {back} {adjective} background",
                    f"on a {adjective} background",
                    f"on {back} {nouns}",
                    f"against a {back} background with {nouns}",
                )
            )
        return self.one(
            (
                f"on {article(back)} {back} background",
                f"on {back} background",
                f"against {article(back)} {back} background",
                f"on {back}",
                f"in front of {article(back)} {back} background",
            )
        )

    def _back_tag(self) -> str:
        if self.scene.ground in PATTERNED:
            return f"{self._back()} {self.one(GROUND_WORDS[self.scene.ground])[0]} background"
        return f"{self._back()} background"

    def _back_sentence(self) -> str:
        back = self._back()
        if self.scene.ground in PATTERNED:
            return f"The background has {back} {self.one(GROUND_WORDS[self.scene.ground])[1]}."
        return f"The background is {back}."

    # landscapes

    def _terrain(self) -> str:
        scene = self.scene
        phrase = self.one(TERRAIN_WORDS[scene.terrain][0])
        bare = scene.is_snowy
        if phrase == "green hills" and (bare or scene.season == "autumn"):
            phrase = "rolling hills"
        if scene.terrain in SNOW_ADJECTIVE and bare and self.chance(0.55):
            return add_adjective(phrase, "snowy")
        if scene.terrain in SNOW_ADJECTIVE and scene.season == "autumn" and self.chance(0.35):
            return add_adjective(phrase, "autumn")
        adjective = self._weather_adjective()
        if adjective and self.chance(0.14):
            return add_adjective(phrase, adjective)
        if scene.terrain in PRAISABLE and self.chance(0.12):
            return add_adjective(phrase, self.one(("quiet", "beautiful", "peaceful")))
        return phrase

    def _tag(self) -> str:
        return self.one(TERRAIN_WORDS[self.scene.terrain][1])

    def _when(self) -> str:
        scene = self.scene
        if not scene.time:
            return ""
        extra: tuple[str, ...] = ()
        if scene.time == "night" and scene.weather in ("clear", "aurora"):
            extra = ("under the stars", "under a starry sky", "on a starry night")
        if scene.time == "day" and scene.weather == "clear":
            extra = ("on a sunny day", "under a blue sky", "on a clear day")
        if scene.moon:
            extra += ("under the moon", "in the moonlight")
        return self.one(TIME_PHRASES[scene.time] + extra)

    def _time_noun(self) -> str:
        noun = self.one(TIME_NOUNS[self.scene.time]) if self.scene.time else ""
        if noun == "blue sky" and self.scene.weather not in ("clear", "rainbow"):
            return "day"
        return (
            "starry night"
            if noun == "night" and self.scene.weather == "clear" and self.chance(0.25)
            else noun
        )

    def _weather(self) -> str:
        weather = self.scene.weather
        if not weather:
            return ""
        if weather == "clear" and self.scene.is_snowy and self.chance(0.5):
            return "in the snow"
        if weather in WEATHER_ADJECTIVES and self.scene.time and self.chance(0.12):
            words = f"{self._weather_adjective()} {TIME_OF_DAY[self.scene.time]}"
            return f"on {article(words)} {words}"
        phrase = self.one(WEATHER_PHRASES[weather])
        return "in the mist" if "morning" in phrase and self.scene.time != "dawn" else phrase

    def _weather_adjective(self) -> str:
        """What the weather makes of a place or a day, or ""."""
        scene = self.scene
        if scene.weather == "clear":
            return "moonlit" if scene.moon else "sunny" if scene.time == "day" else ""
        return self.one(WEATHER_ADJECTIVES.get(scene.weather, ("",)))

    def _weather_tag(self) -> str:
        return WEATHER_TAGS.get(self.scene.weather, "")

    def _season(self) -> str:
        return SEASONS.get(self.scene.season, "")

    def _under(self) -> str:
        extra: tuple[str, ...] = (
            ("under a starry night sky", "under the stars")
            if self.scene.weather in ("clear", "aurora")
            else ("at night",)
        )
        return self.one(("under a night sky", "under a night sky", "under the night sky", *extra))

    def _light(self) -> str:
        scene = self.scene
        if scene.moon:
            return self.one(("with a moon", "with the moon in the sky", "under the moon"))
        if scene.sun and scene.terrain not in RIDGED:
            return self.one(("with a bright sun", "with the sun in the sky"))
        return self._weather() if scene.weather != "clear" else ""

    def _light_sentence(self) -> str:
        scene = self.scene
        options = LIGHT_SENTENCES[scene.time]
        if scene.time in ("sunset", "dusk", "day") and scene.weather != "clear":
            options = options[1:] if scene.time != "day" else options[:1]
        if scene.moon:
            options += ("The moon shines.", "The moon and stars shine.")
        return self.one(options)

    def _detail(self) -> str:
        if self.scene.terrain == "space":
            return self.one(("with planets and stars", "with planets", "full of stars"))
        if self.scene.terrain == "moonscape":
            return self.one(MOON_DETAILS)
        fish: tuple[str, ...] = () if self.scene.objects else ("with fish", "with small fish")
        return self.one(("with light rays", "with seaweed", "with sun rays", *fish))

    def _glow(self) -> str:
        return self.scene.glow if self.chance(0.6) else ""

    def _place(self) -> str:
        item = self.scene.objects[0]
        if item.spot:
            side = self.one(SIDES[item.spot])
            return self.one((f"{side}, {self._inside()}", f"{self._inside()}, {side}"))
        return self._inside()

    def _inside(self) -> str:
        scene, item = self.scene, self.scene.objects[0]
        if item.place == "s" and scene.terrain != "space" and scene.relation == "":
            return f"{self.one(ABOVE[:2] if item.name == 'cloud' else ABOVE)} {self._terrain()}"
        phrase = self.one(INSIDE[scene.terrain])
        if item.place == "w" and scene.terrain in ("sea", "lake"):
            return self.one((phrase, "on the water"))
        if scene.terrain == "forest" and scene.is_snowy and self.chance(0.6):
            return "in a snowy forest"
        return phrase
