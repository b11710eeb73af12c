"""Adjectives and verbs without a field, and colours in a clause of their own.

A sleepy cat and a running cat are the cat of the table of things. What people do is a field, so
they have no verbs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from daguerre.models.embedded.drawing import Scene, SceneObject, things

ADJECTIVE_SHARE = 0.08  # of objects without another adjective
PREDICATE_SHARE = 0.12  # of captions in which every object has a colour
_ANY = "beautiful,nice,lovely,interesting,special,unusual,pretty,wonderful,perfect"
# Letter of a kind of things -> adjectives.
ADJECTIVES = {
    "a": "cute,happy,sleepy,playful,hungry,running,jumping,sitting,sleeping,smiling,funny,curious,"
    "wild,friendly,lazy,angry,fluffy,chubby,young,old,lonely,adorable,shy,clever,tame,proud,"
    "brave,cheerful,calm,furry,majestic,fat,thin,strong,scared,gentle,walking,standing,grumpy",
    "p": "friendly,beautiful,famous,elegant,brave,kind,clever,serious,young,strong,proud,shy,"
    "cheerful,mysterious,lonely,handsome,happy,polite,stylish,busy,smiling,curious,wise",
    "f": "fresh,tasty,delicious,ripe,juicy,healthy,homemade,organic,yummy,crunchy,hot,"
    "appetizing,perfect,cooked,raw",
    "n": "wild,fresh,delicate,blooming,tropical,exotic,healthy,tender,fragrant,natural,leafy",
    "v": "fast,old,new,modern,rusty,parked,shiny,heavy,classic,sporty,used,clean,dirty,powerful,"
    "elegant,futuristic,toy,moving,empty",
    "b": "old,ancient,abandoned,cosy,modern,historic,grand,haunted,famous,quaint,ruined,rustic,"
    "impressive,medieval,charming",
    "o": "old,new,modern,wooden,plastic,metal,shiny,broken,antique,elegant,simple,expensive,used,"
    "handmade,ornate,heavy,lightweight,dusty,clean,fancy,cheap,stylish,decorative,sturdy",
    "k": "bright,distant,strange",
}
# Kind and place of an object -> what it is said to do.
VERBS = {
    "ag": "running,walking,sitting,standing,playing,resting,sleeping,jumping,looking around,"
    "lying down,waiting,looking at the camera,hunting,eating,enjoying the day",
    "aw": "swimming,floating,resting,diving",
    "au": "swimming,floating,hiding",
    "as": "flying,hovering,gliding",
    "ai": "sitting,resting,waiting,looking at the camera",
    "vg": "parked,driving,waiting,moving,standing",
    "vw": "floating,sailing,moored,drifting",
    "vs": "flying,hovering,soaring",
    "og": "standing,lying,left behind",
    "bg": "standing,standing tall",
    "ng": "growing,standing",
}
# Templates for scenes of one or two objects, each with a colour. {name} has no article and colour.
PREDICATES: dict[int, tuple[str, ...]] = {
    1: (
        "the {name1} {is1} {colour1}",
        "{a_name1} that {is1} {colour1}",
        "{a_name1} in {colour1}",
        "{a_name1}. The {name1} {is1} {colour1}.",
        "{name1}, {colour1}",
        "{a_name1}, {colour1} in colour",
        "{a_name1}, coloured {colour1}",
        "{a_name1} painted {colour1}",
        "{a_name1} that {is1} {colour1} {on_back}",
        "{colour1} {name1}, {back_tag}",
        "{a_name1} which {is1} completely {colour1}",
        "the colour of the {name1} is {colour1}",
    ),
    2: (
        "the {name1} {is1} {colour1} and the {name2} {is2} {colour2}",
        "The {name1} {is1} {colour1}, the {name2} {is2} {colour2}.",
        "{a_name1} and {a_name2}. The {name1} {is1} {colour1} and the {name2} {is2} {colour2}.",
        "{a_name1} that {is1} {colour1} and {a_name2} that {is2} {colour2}",
        "{a_name1} in {colour1} and {a_name2} in {colour2}",
        "{a_name2} in {colour2} and {a_name1} in {colour1}",
        "{colour1} {name1}, {colour2} {name2}",
        "{colour1} {name1} and {colour2} {name2}",
        "{colour1} {name1} and {colour2} {name2} {on_back}",
        "{a_name1}, which {is1} {colour1}, and {a_name2}, which {is2} {colour2}",
        "{colour2} {name2}, {colour1} {name1}, {style}",
        "the {colour1} {name1} and the {colour2} {name2}",
    ),
}


def adjective(item: SceneObject, one: Callable[[Sequence[str]], str]) -> str:
    """An adjective that suits the kind of an object."""
    row = things.BY_NAME.get(item.name)
    return one(ADJECTIVES[row.kind].split(",") if row else _ANY.split(","))


def verb(item: SceneObject, one: Callable[[Sequence[str]], str]) -> str:
    """What an object is said to do."""
    return one(_verbs(item))


def has_verb(scene: Scene) -> bool:
    """True if there is something that the scene's first object may be said to do."""
    return bool(scene.objects and _verbs(scene.objects[0]))


def _verbs(item: SceneObject) -> Sequence[str]:
    row = things.BY_NAME.get(item.name)
    options = VERBS.get(row.kind + item.place, "") if row and not item.glowing else ""
    return options.split(",") if options else ()


def predicates(scene: Scene) -> tuple[str, ...]:
    """Templates that say the colours apart, if every object is one and has a colour.

    The colour of a person is that of the clothes.
    """
    are_coloured = all(
        item.colour
        and item.count == 1
        and not item.stature
        and not item.glowing
        and things.BY_NAME[item.name].kind != "p"
        for item in scene.objects
    )
    plain = scene.kind in ("thing", "pair") and scene.relation in ("", "and", "beside")
    return PREDICATES.get(len(scene.objects), ()) if are_coloured and plain else ()
