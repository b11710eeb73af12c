"""Verbs for what somebody does with the thing in the hand, the mouth or the paws."""

from __future__ import annotations

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.mouths import ROLLING, is_mouthful
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from training.wording import ACTS

Verbs = tuple[tuple[str, ...], tuple[str, ...]]  # active, passive
EATING: Verbs = (
    (
        *("eating", "eating", "eating", "eating", "holding", "with", "having", "enjoying"),
        *("biting into", "munching on", "chewing", "chewing on", "nibbling on", "snacking on"),
        *("carrying", "tasting"),
    ),
    ("eaten by", "held by"),
)
DRINKING: Verbs = (
    ("drinking", "drinking", "holding", "with", "having", "sipping", "enjoying"),
    ("held by",),
)
PREYING: Verbs = (
    ("eating", "eating", "catching", "catching", "with", "carrying", "holding", "hunting"),
    ("eaten by", "caught by", "carried by"),
)
PLAYING: Verbs = (
    (
        *("playing with", "playing with", "catching", "catching", "carrying", "fetching", "with"),
        *("holding", "biting", "chewing on", "jumping for"),
    ),
    ("carried by", "caught by", "held by"),
)
ROLLED: Verbs = (
    ("playing with", "playing with", "playing with", "with", "chasing", "holding", "kicking"),
    ("chased by",),
)
MAKING_MUSIC: Verbs = (("playing", "playing", "playing", "holding", "with"), ("played by",))
# How animals are where they are, in front of a preposition.
POSTURES = (
    *("sleeping", "sleeping", "sitting", "sitting", "resting", "lying", "standing", "playing"),
    *("napping", "hiding", "waiting", "curled up", "relaxing", "sunbathing", "eating"),
)
PREPOSITIONS = {
    **{"on": "on", "under": "under", "front": "in front of", "behind": "behind", "in": "in"},
    "beside": "next to",
}
# What somebody beside something is said to do; the picture shows both.
DEEDS = (
    *("looking at", "looking at", "watching", "facing", "admiring", "visiting", "guarding"),
    *("attacking", "attacking", "fighting", "meeting", "greeting", "talking to", "waiting for"),
    *("pushing", "painting", "repairing", "kissing", "hugging", "feeding", "protecting"),
    *("playing with", "dancing with", "walking past", "running towards", "hiding from"),
    *("posing with", "smelling", "building", "cleaning", "washing", "destroying", "approaching"),
    *("playing with", "feeding", "sitting with", "standing with", "running after", "petting"),
    *("catching", "eating", "walking with", "taking care of"),
)
DRINKS = frozenset(
    "milk,coffee,tea,sake,champagne,wine glass,cocktail,tropical drink,beer,whiskey,soda,"
    "glass of water,bubble tea,juice box,glass of juice,mate".split(",")
)
INSTRUMENTS = frozenset(
    "guitar,violin,trumpet,saxophone,flute,accordion,banjo,maracas,harp,drum".split(",")
)


def is_feeding(scene: Scene) -> bool:
    """True for an animal with something in its mouth or between its paws."""
    return scene.relation == "holding" and _is_animal(scene) and is_mouthful(_held(scene).name)


def is_chasing(scene: Scene) -> bool:
    """True for an animal behind another that faces the same way."""
    behind = {"left": True, "right": False}.get(scene.relation)
    rows = [things.BY_NAME.get(item.name) for item in scene.objects]
    return (
        len(rows) == 2
        and behind is not None
        and all(row is not None and row.kind == "a" for row in rows)
        and all(item.count == 1 and item.flip == behind for item in scene.objects)
    )


def is_perched(scene: Scene) -> bool:
    """True for an animal on a person's shoulder."""
    if scene.relation != "on" or len(scene.objects) != 2:
        return False
    return _is_animal(scene) and is_figure(scene.objects[1])


def posture_words(scene: Scene) -> tuple[str, ...]:
    """Participles with the preposition of the relation, such as "sleeping on"; () for no animal."""
    preposition = PREPOSITIONS.get(scene.relation)
    if preposition is None or not _is_animal(scene):
        return ()
    return tuple(f"{posture} {preposition}" for posture in POSTURES)


def possessive(person: SceneObject) -> str:
    """The possessive pronoun of a person: "his", "her" or "their"."""
    build = PEOPLE[person.name].build.removeprefix("old ")
    return {"man": "his", "boy": "his", "woman": "her", "girl": "her"}.get(build, "their")


def can_act(scene: Scene) -> bool:
    """True if the first of two objects is an animal or a person, one or more."""
    row = things.BY_NAME.get(scene.objects[0].name) if len(scene.objects) == 2 else None
    return row is not None and row.kind in "ap"


def verbs(scene: Scene) -> Verbs:
    """What the first of two objects does with the second, and the reverse."""
    if scene.relation != "holding":
        return ACTS[scene.relation]
    name = _held(scene).name
    kind = things.BY_NAME[name].kind
    if name in INSTRUMENTS:
        return MAKING_MUSIC
    if name in DRINKS:
        return DRINKING
    if kind == "f":
        return EATING
    if not _is_animal(scene):
        return ACTS["holding"]
    if name in ROLLING:
        return ROLLED
    if not is_mouthful(name):
        return ACTS["holding"]
    return PREYING if kind == "a" else EATING if kind == "n" else PLAYING


def _held(scene: Scene) -> SceneObject:
    return scene.objects[1]


def _is_animal(scene: Scene) -> bool:
    row = things.BY_NAME.get(scene.objects[0].name)
    return row is not None and row.kind == "a"
