"""Caption words for several objects: relations, indoor settings, patterns, spots in the frame.

These are the fields of templates that `words` lacks. A relation can be described from either end; a
name that is repeated in a second sentence has no colour and count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing import SceneObject, things
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.relations import has_stand
from training import describing
from training.grammar import PLURALS, article, plural, with_article
from training.places import ROOM_TIMES, WALLLESS
from training.verbs import DEEDS, possessive, posture_words, verbs
from training.wording import (
    CONVERSE,
    DREAMY,
    INDOORS,
    NUMBERS,
    PRAISE,
    RELATION_WORDS,
    SITTING,
    SPOT_WORDS,
    STYLE_WORDS,
    STYLES,
)
from training.words import Words

POSTURE_SHARE = 0.25  # of relations of an animal to something


class Relating(Words):
    """Words for a scene of any family."""

    # things by their number

    def nth(self, number: int, with_article: bool = True) -> str:
        item = self.scene.objects[number]
        return self.named(item, self.adjective(item), with_article)

    def _first(self) -> str:
        return self.nth(0)

    def _second(self) -> str:
        return self.nth(1)

    def _third(self) -> str:
        return self.nth(2)

    def _bare1(self) -> str:
        return self.nth(0, False)

    def _bare2(self) -> str:
        return self.nth(1, False)

    def _bare3(self) -> str:
        return self.nth(2, False)

    def _name1(self) -> str:
        return again(self.scene.objects[0])

    def _name2(self) -> str:
        return again(self.scene.objects[1])

    def _a_name1(self) -> str:
        return with_article(self._name1())

    def _a_name2(self) -> str:
        return with_article(self._name2())

    def _is1(self) -> str:
        return _is(self.scene.objects[0])

    def _is2(self) -> str:
        return _is(self.scene.objects[1])

    def _colour1(self) -> str:
        return self.scene.objects[0].colour

    def _colour2(self) -> str:
        return self.scene.objects[1].colour

    def _doing(self) -> str:
        return describing.verb(self.scene.objects[0], self.one)

    # relations

    def _relation(self) -> str:
        if self.scene.relation == "on" and self.scene.objects[-1].name == "bridge":
            return self.one(("on", "on", "crossing", "going over", "driving over", "on top of"))
        if self.scene.relation == "on" and is_figure(self.scene.objects[0]):
            return self.one(SITTING)
        if self.scene.relation == "holding":
            return self.one((*RELATION_WORDS["holding"], self._acting()))
        postures = posture_words(self.scene)
        if postures and self.chance(POSTURE_SHARE):
            return self.one(postures)
        return self.one(RELATION_WORDS[self.scene.relation])

    def _converse(self) -> str:
        return self.one(RELATION_WORDS[CONVERSE[self.scene.relation]])

    def _walker(self) -> str:
        """The person who walks a dog, without the pose."""
        return self.named(replace(self.scene.objects[0], pose=""))

    def _acting(self) -> str:
        return self.one(verbs(self.scene)[0])

    def _done_by(self) -> str:
        return self.one(verbs(self.scene)[1])

    def _deed(self) -> str:
        return self.one(DEEDS)

    def _on_shoulder(self) -> str:
        """Where an animal is that a person carries."""
        place = self.one(("shoulder", "shoulder", "shoulder", "arm", "back"))
        whose = possessive(self.scene.objects[1])
        return f"on {self.one((whose, whose, 'the'))} {place}"

    def _side1(self) -> str:
        return self.scene.relation

    def _side2(self) -> str:
        return CONVERSE[self.scene.relation]

    def _flanks(self) -> str:
        """What something is between."""
        if len(self.scene.objects) == 2:
            return self.nth(1)
        return f"{self.nth(1)} and {self.nth(2)}"

    def _sides_of_relation(self) -> tuple[list[int], list[int]]:
        """The numbers of the objects before and after the word of the relation."""
        numbers = list(range(len(self.scene.objects)))
        cut = 1 if self.scene.relation == "behind" else len(numbers) - 1
        if self.scene.relation == "in" and has_stand(self.scene.objects):
            cut -= 1
        return numbers[:cut], numbers[cut:]

    def _subject(self) -> str:
        return listed([self.nth(i) for i in self._sides_of_relation()[0]])

    def _object(self) -> str:
        if self.scene.relation == "in":
            return self._container()
        return listed([self.nth(i) for i in self._sides_of_relation()[1]])

    def _container(self) -> str:
        """The container by a name that tells no content, such as "vase of flowers"."""
        number = self._sides_of_relation()[1][0]
        text = self.nth(number)
        while re.search(r"\b(with|of|and)\b", text):
            text = self.nth(number)
        return text

    def _full(self) -> str:
        """The container with its contents: "a bowl of apples", "a box with a cat"."""
        is_many = any(self.scene.objects[i].count > 1 for i in self._sides_of_relation()[0])
        joint = self.one(("of", "of", "full of", "with")) if is_many else "with"
        return f"{self._container()} {joint} {self._contents()}"

    def _stand(self) -> str:
        """What a container is on."""
        return self.nth(-1)

    def _on_stand(self) -> str:
        return f"{self.one(RELATION_WORDS['on'])} {self._stand()}"

    def _contents(self) -> str:
        """The subject without its number, where there are several."""
        items = [self.scene.objects[i] for i in self._sides_of_relation()[0]]
        return listed(
            [
                self.named(replace(t, count=0) if t.count > 1 else t, self.adjective(t))
                for t in items
            ]
        )

    def _within(self) -> str:
        if self.scene.objects[-1].name == "egg":
            return self.one(("in", "hatching from", "hatching from", "hatching out of", "inside"))
        if self.scene.objects[-1].name == "dinner plate":
            return self.one(("on", "on", "lying on"))
        postures = posture_words(self.scene)
        if postures and self.chance(POSTURE_SHARE):
            return self.one(postures)
        return self.one(RELATION_WORDS["in"])

    def _where(self) -> str:
        return self.one(SPOT_WORDS[self.scene.objects[0].spot])

    # all things of a scene

    def _listed(self) -> str:
        return listed([self.nth(i) for i in range(len(self.scene.objects))])

    def _number_of_kinds(self) -> str:
        return NUMBERS[len(self.scene.objects)][0]

    def _plurals(self) -> str:
        return " and ".join(self.named(item) for item in self.scene.objects)

    def _bares(self) -> str:
        names = [things.BY_NAME[item.name].name for item in self.scene.objects]
        return " and ".join(names)

    def _sitter(self) -> str:
        """The subject of a portrait; an animal's face may be called by the animal's name."""
        item, text = self.scene.objects[0], self.nth(0)
        is_animal = things.BY_NAME[item.name].kind == "a"
        return text.removesuffix(" face") if is_animal and self.chance(0.6) else text

    def _face_of(self) -> str:
        item = self.scene.objects[0]
        if any(word in item.name for word in ("face", "skull", "head")):
            return f"a close-up of {self.nth(0)}"
        return f"the {self.one(('face', 'face', 'head'))} of {self.nth(0)}"

    # indoors

    def _indoors(self) -> str:
        return self.one(INDOORS[self.scene.setting][0])

    def _furniture(self) -> str:
        return self.one(INDOORS[self.scene.setting][1])

    def _setting(self) -> str:
        return self.scene.setting

    def _by_wall(self) -> str:
        back = self._back()
        if self.scene.setting in WALLLESS:
            return ""
        if self.scene.setting not in ("table", "shelf"):
            return self.one((f"with {back} walls", f"with {article(back)} {back} wall"))
        wall = f"{article(back)} {back} wall"
        return self.one((f"in front of {wall}", f"by {wall}"))

    def _wall_sentence(self) -> str:
        return "" if self.scene.setting in WALLLESS else f"The wall is {self._back()}."

    def _room_time(self) -> str:
        return self.one(ROOM_TIMES) if self.scene.time == "night" else ""

    def _sides(self) -> str:
        """A sentence about the order of the objects, or "" if there is none."""
        if self.scene.relation not in ("left", "right"):
            return ""
        return f"The {self._name1()} {self._is1()} {self._relation()} the {self._name2()}."

    # words that change nothing

    def _style(self) -> str:
        return self.one(STYLE_WORDS[self.scene.style][0] if self.scene.style else STYLES)

    def _a_style(self) -> str:
        style = self._style()
        return f"{article(style)} {style}"

    def _praise(self) -> str:
        if self.scene.weather == "storm":
            return self.one(("dramatic", "beautiful", "stunning"))
        return self.one(PRAISE)

    def _dreamy(self) -> str:
        return "surreal" if self.chance(0.45) else self.one(DREAMY)


def _is(item: SceneObject) -> str:
    return "is" if item.count == 1 and item.name not in PLURALS else "are"


def listed(texts: Sequence[str]) -> str:
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def again(item: SceneObject) -> str:
    """A thing that was named before."""
    name = things.BY_NAME[item.name].name
    return name if item.count == 1 else plural(name)
