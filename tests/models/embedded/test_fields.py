"""Scenes as tokens: round trips, and the compatibility tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded import fields
from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.drawing import SHAPES, Scene, SceneObject, render, things
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import KINDS, RELATIONS, TIMELESS
from daguerre.models.embedded.fields import AT, FIELDS, MASKED, NUM_LOGITS, OBJECT_FIELDS, STARTS
from daguerre.models.embedded.sampler import Noise, SceneSampler
from daguerre.params import SIZES
from training import scenes
from training.scenes.company import RELATION_WEIGHTS

Tokens = NDArray[np.int64]
STEP = 1.11  # ratio of neighbouring sizes
BALL = SceneObject("ball", ("drawn", "ball"), "", "g", 1, 0.6, False)
CAR = SceneObject("car", things.looks(things.BY_NAME["car"])[0], "red", "g", 1, 0.6, True)
THING_SCENE = Scene("thing", 1024, 1024, 1, objects=(BALL,), background="white", ground="plain")
LAKE = Scene("landscape", 1024, 1024, 1, 0, "night", "clear", "lake", "summer", moon=True)


@pytest.fixture(scope="module")
def sampled() -> list[Scene]:
    """Training scenes of every shape."""
    rng = np.random.default_rng(3)
    return [scenes.sample_scene(rng, SHAPES[i % len(SHAPES)]) for i in range(2400)]


@pytest.fixture(scope="module")
def rules(sampled: list[Scene]) -> CompatibilityTables:
    return CompatibilityTables.learn(np.stack([fields.encode(scene) for scene in sampled]))


def decided(rules: CompatibilityTables, seed: int, **wanted: str) -> Tokens:
    """Random tokens (F,) that the tables permit; the fields of `whole` are given."""
    logits = np.zeros(NUM_LOGITS, np.float32)
    for name, value in wanted.items():
        field = FIELDS[AT[0, name]]
        logits[STARTS[AT[0, name]] + field.index[value]] = 1000.0
    sampler = SceneSampler(Noise.draw(seed), rules, num_steps=5, temperature=1.0)
    for index in range(5):
        sampler.step(logits, index)
    return sampler.tokens


def drawn(tokens: Tokens, seed: int) -> NDArray[np.uint8]:
    shape = SHAPES[seed % len(SHAPES)]
    scene = fields.decode(tokens, shape, seed, seed % 60)
    return render(scene, shape[0] // 16, shape[1] // 16)


def allowed(rules: CompatibilityTables, field: int, known: dict[int, str]) -> set[str]:
    """The values that the tables permit for a field, given some others."""
    tokens = MASKED.copy()
    for at, value in known.items():
        tokens[at] = FIELDS[at].index[value]
    found = rules.allowed(field, tokens)
    return {value for value, may in zip(FIELDS[field].values, found, strict=True) if may}


def test_shapes_are_the_sizes_of_the_contract() -> None:
    """The denoiser has a shape for each size that a request may have."""
    assert set(SHAPES) == set(SIZES.values()) and len(SHAPES) == len(SIZES)


def test_scenes_come_back_from_their_tokens(sampled: list[Scene]) -> None:
    """A round trip preserves scenes of every kind and shape, except for rounded sizes."""
    for scene in sampled:
        tokens = fields.encode(scene)
        back = fields.decode(tokens, (scene.width, scene.height), scene.seed, scene.palette)
        pairs = list(zip(back.objects, scene.objects, strict=True))
        same = tuple(replace(found, size=item.size) for found, item in pairs)
        assert replace(back, objects=same) == scene
        for found, item in pairs:
            assert 1 / STEP <= found.size / max(item.size, fields.SIZES[0]) <= STEP, item
        assert np.array_equal(fields.encode(back), tokens)
    assert {scene.kind for scene in sampled} == set(KINDS)
    assert {(scene.width, scene.height) for scene in sampled} == set(SHAPES)
    assert {len(scene.objects) for scene in sampled} == {0, 1, 2, 3, 4, 5}
    assert any(item.name == fields.GLOWING_MUSHROOM for s in sampled for item in s.objects)


def test_a_scene_has_up_to_five_objects() -> None:
    """Five objects come back from their tokens, each with up to seven copies."""
    items = tuple(replace(CAR, count=count, size=fields.SIZES[9]) for count in (1, 2, 3, 6, 7))
    scene = Scene("pair", 1024, 1024, 1, objects=items, relation="and", background="white")
    back = fields.decode(fields.encode(scene), (1024, 1024), 1, 0)
    assert [item.count for item in back.objects] == [1, 2, 3, 6, 7]


def test_new_fields_reach_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pose, outfit and hat of an object and the lettering are decoded as they are encoded."""
    item = replace(CAR, pose="p", outfit="o", hat="h", size=fields.SIZES[9])
    scene = Scene("thing", 1024, 1024, 1, objects=(item,), lettering="l")
    said = {"pose": "p", "outfit": "o", "hat": "h", "lettering": "l"}
    wider = tuple(replace(f, values=("", said[f.name])) if f.name in said else f for f in FIELDS)
    monkeypatch.setattr(fields, "FIELDS", wider)
    back = fields.decode(fields.encode(scene), (1024, 1024), 1, 0)
    assert (back.lettering, back.objects[0].pose) == ("l", "p")
    assert (back.objects[0].outfit, back.objects[0].hat) == ("o", "h")


def test_layout_and_shape_are_not_tokens() -> None:
    """Scenes that differ only in layout or shape have the same tokens."""
    other = replace(LAKE, seed=2, palette=9, width=1344, height=768)
    assert np.array_equal(fields.encode(other), fields.encode(LAKE))
    assert fields.decode(fields.encode(LAKE), (1344, 768), 2, 9) == other


def test_objects_of_the_sky_are_not_marked_as_flying() -> None:
    """A car in the sky is marked as flying; a bird, or a fish in space, is not."""
    car = replace(LAKE, kind="mixed", objects=(replace(CAR, place="s", flip=False),))
    tokens = fields.encode(car)
    assert tokens[AT[1, "flies"]] == 1
    assert fields.decode(tokens, (1024, 1024), 1, 0).objects[0].place == "s"
    bird = things.BY_NAME["bird"]
    item = SceneObject("bird", things.looks(bird)[0], "", bird.place, 1, 0.3, False)
    assert fields.encode(replace(car, objects=(item,)))[AT[1, "flies"]] == 0
    afloat = Scene("mixed", 1024, 1024, 1, terrain="space", objects=(replace(CAR, place="s"),))
    assert fields.encode(afloat)[AT[1, "flies"]] == 0


def test_names_are_in_the_order_of_the_table() -> None:
    """Value 0 is no object, then come the rows of the table in order: the weights depend on it."""
    names = OBJECT_FIELDS["name"]
    assert names[:1] == ("",) and names[1 : 1 + len(things.THINGS)] == tuple(
        thing.name for thing in things.THINGS
    )
    assert names[1 + len(things.THINGS) :] == (fields.GLOWING_MUSHROOM,)


def test_values_of_a_field_are_distinct() -> None:
    """No field has a value twice, the mask is not a value, and the logits are contiguous."""
    for i, field in enumerate(FIELDS):
        assert len(set(field.values)) == len(field.values) == field.mask == MASKED[i]
        assert STARTS[i + 1] - STARTS[i] == len(field.values)
    assert sorted(fields.ORDER) == list(range(len(FIELDS))) and STARTS[-1] == NUM_LOGITS


def test_sizes_are_even_steps() -> None:
    """Each size is 11% larger than the one before, from tiny objects to portraits."""
    sizes = np.array(fields.SIZES)
    assert np.allclose(sizes[1:] / sizes[:-1], STEP)
    assert sizes[0] <= 0.13 and sizes[-1] >= 1.3


@pytest.mark.parametrize("kind", KINDS)
def test_every_permitted_scene_can_be_drawn(rules: CompatibilityTables, kind: str) -> None:
    """Every random scene that the tables permit can be drawn, for each kind."""
    for seed in range(16):
        pixels = drawn(decided(rules, seed, kind=kind), seed)
        assert pixels.ndim == 3 and pixels.std() > 0


@pytest.mark.parametrize("kind", ["pair", "mixed", "room"])
def test_a_relation_needs_two_objects(kind: str) -> None:
    """What is in front of nothing is alone."""
    cat = SceneObject("cat", things.looks(things.BY_NAME["cat"])[0], "", "g", 1, 0.4, False)
    terrain, time = ("hills", "day") if kind == "mixed" else ("", "")
    setting = "room" if kind == "room" else ""
    whole = Scene(kind, 1024, 1024, 1, 0, time, "clear", terrain, setting=setting)
    for relation in RELATIONS:
        scene = replace(whole, objects=(cat,), background="blue", relation=relation)
        found = fields.decode(fields.encode(scene), (1024, 1024), 1, 0)
        assert (found.relation, len(found.objects)) == ("", 1)
        render(found, 64, 64)


@pytest.mark.parametrize("relation", RELATION_WEIGHTS)
def test_every_relation_can_be_drawn_with_anything(
    rules: CompatibilityTables, relation: str
) -> None:
    """A relation gets the objects that it needs, whichever they are."""
    for seed in range(100, 106):
        tokens = decided(rules, seed, kind="pair", relation=relation)
        assert drawn(tokens, seed).std() > 0
        scene = fields.decode(tokens, SHAPES[0], seed, 0)
        assert scene.relation == relation and len(scene.objects) > 1


@pytest.mark.parametrize("style", fields.SCENE_FIELDS["style"][1:])
def test_every_style_can_be_drawn_with_anything(rules: CompatibilityTables, style: str) -> None:
    """A style gets an object and a ground that suit it."""
    for seed in range(200, 205):
        tokens = decided(rules, seed, kind="thing", style=style)
        assert fields.decode(tokens, SHAPES[0], seed, 0).style == style
        assert drawn(tokens, seed).std() > 0


@pytest.mark.parametrize("surface", ["sign", "neon", "shirt"])
def test_words_get_a_scene_that_shows_them(rules: CompatibilityTables, surface: str) -> None:
    """A surface that the prompt decides gets a kind of scene that has it."""
    for seed in range(300, 305):
        given = {"lettering": surface, "lettering_colour": ""}
        sampler = SceneSampler(Noise.draw(seed), rules, 4, temperature=1.0, given=given)
        for index in range(4):
            sampler.step(np.zeros(NUM_LOGITS, np.float32), index)
        scene = fields.decode(sampler.tokens, SHAPES[0], seed, 0)
        assert scene.kind in ("lettering", "landscape", "mixed", "room")
        shown, blank = (render(replace(scene, words=words), 64, 64) for words in ("OPEN", ""))
        assert not np.array_equal(shown, blank)


@pytest.fixture(scope="module")
def chance(rules: CompatibilityTables) -> list[Scene]:
    """Random scenes that the tables permit."""
    shapes = (SHAPES[seed % len(SHAPES)] for seed in range(150))
    return [fields.decode(decided(rules, i), shape, i, 0) for i, shape in enumerate(shapes)]


def _is_whole(scene: Scene) -> bool:
    """Each kind has the objects, the relation and the place that it needs."""
    num, outdoors = len(scene.objects), scene.kind in ("landscape", "mixed")
    may_be_empty = scene.setting == "window" or scene.setting in FURNISHED
    least = {"landscape": 0, "pair": 2, "lettering": 0}.get(scene.kind, not may_be_empty)
    most = {"landscape": 0, "mixed": 5, "pair": 5, "room": 5, "pattern": 2, "lettering": 2}
    return (
        least <= num <= most.get(scene.kind, 1)
        and (bool(scene.relation) or scene.kind != "pair")
        and (not scene.relation or scene.kind in ("pair", "mixed", "room", "lettering"))
        and (not scene.lettering or outdoors or scene.kind in ("room", "lettering"))
        and bool(scene.terrain) == (outdoors or scene.setting == "window")
        and bool(scene.setting) == (scene.kind == "room")
    )


def _keeps_time(scene: Scene) -> bool:
    """Landscapes have an hour unless they are timeless; sun and moon match it.

    In a furnished room it may be night.
    """
    if scene.setting in FURNISHED:
        return scene.time in ("", "night") and not (scene.weather or scene.sun or scene.moon)
    has_hour = bool(scene.terrain) and scene.terrain not in TIMELESS
    sun = not scene.sun or scene.time in ("dawn", "day", "sunset")
    moon = not scene.moon or scene.time == "night"
    return bool(scene.time) == has_hour == bool(scene.weather) and sun and moon


def _counts(scene: Scene) -> bool:
    """Only patterns have objects without a count; only groups, rows and crowds have several."""
    counts = {item.count for item in scene.objects}
    if scene.kind == "pattern":
        return counts == {0}
    return counts <= ({1} if scene.kind in ("thing", "spot", "portrait") else {*range(1, 8)})


def _has_ground(scene: Scene) -> bool:
    """Objects that are not outdoors have a background colour."""
    return bool(scene.background) == (not scene.terrain)


@pytest.mark.parametrize("holds", [_is_whole, _keeps_time, _counts, _has_ground])
def test_permitted_scenes_are_consistent(
    chance: list[Scene], sampled: list[Scene], holds: Callable[[Scene], bool]
) -> None:
    """The invariants of training scenes also hold for every scene that the tables permit."""
    assert [scene for scene in sampled if not holds(scene)] == []
    assert [scene for scene in chance if not holds(scene)] == []


def test_objects_have_only_their_own_values(chance: list[Scene]) -> None:
    """An object has one of its own looks, and a colour only if it can be recoloured."""
    found = [item for scene in chance for item in scene.objects]
    assert len(found) > 100
    for item in found:
        if item.name == fields.GLOWING_MUSHROOM:
            assert item.look == ("glow", "mushroom") and item.glowing
            continue
        row = things.BY_NAME[item.name]
        assert item.look in things.looks(row)
        assert item.colour in (("", *COLOURS) if row.recolourable else ("",))
        assert not item.flip or row.kind in "av"


def test_an_unnamed_thing_has_nothing() -> None:
    """All fields of a slot without an object are empty."""
    empty = CompatibilityTables({})
    for name in OBJECT_FIELDS:
        if name != "name":
            assert allowed(empty, AT[2, name], {AT[2, "name"]: ""}) == {""}


@pytest.fixture(scope="module")
def two() -> CompatibilityTables:
    """Tables learned from a ball before white and a lake at night."""
    return CompatibilityTables.learn(
        np.stack([fields.encode(scene) for scene in (THING_SCENE, LAKE)])
    )


KIND, TERRAIN, TIME = AT[0, "kind"], AT[0, "terrain"], AT[0, "time"]


def test_tables_exclude_unseen_combinations(two: CompatibilityTables) -> None:
    """A single object has no terrain, and the lake no background; unseen pairs are unlimited."""
    assert allowed(two, TERRAIN, {KIND: "thing"}) == {""}
    assert allowed(two, AT[0, "background"], {KIND: "thing"}) == {"white"}
    assert allowed(two, AT[0, "background"], {TERRAIN: "lake"}) == {""}
    assert allowed(two, KIND, {TERRAIN: "lake"}) == {"landscape"}
    assert allowed(two, KIND, {}) == set(KINDS)
    # Unseen values exclude nothing.
    assert allowed(two, TERRAIN, {KIND: "pair"}) == set(FIELDS[TERRAIN].values)


def test_any_name_is_permitted_where_one_was_seen(two: CompatibilityTables) -> None:
    """Any object is permitted where one was seen, and none where none was."""
    assert allowed(two, AT[1, "name"], {KIND: "thing"}) == set(OBJECT_FIELDS["name"]) - {""}
    assert allowed(two, AT[2, "name"], {KIND: "thing"}) == {""}
    assert allowed(two, AT[1, "name"], {KIND: "landscape"}) == {""}


def test_any_colour_is_permitted_where_one_was_seen() -> None:
    """Any colour is permitted where one was seen, and none where none was."""
    red = replace(THING_SCENE, objects=(replace(THING_SCENE.objects[0], colour="red"),))
    tables = CompatibilityTables.learn(np.stack([fields.encode(scene) for scene in (red, LAKE)]))
    assert allowed(tables, AT[1, "colour"], {KIND: "thing"}) == set(OBJECT_FIELDS["colour"]) - {""}
    assert allowed(tables, AT[1, "colour"], {KIND: "landscape"}) == {""}


def test_earlier_fields_win(two: CompatibilityTables) -> None:
    """If two decided fields leave no value, the earlier one wins."""
    assert allowed(two, TIME, {KIND: "thing", TERRAIN: "lake"}) == {""}
    assert allowed(two, TIME, {KIND: "landscape", TERRAIN: ""}) == {"night"}


def test_tables_round_trip_through_arrays(rules: CompatibilityTables) -> None:
    """Tables read from their arrays decide the same scenes."""
    again = CompatibilityTables.from_arrays(rules.arrays())
    assert list(again.arrays()) == list(rules.arrays())
    for seed in range(20):
        assert np.array_equal(decided(again, seed), decided(rules, seed))
