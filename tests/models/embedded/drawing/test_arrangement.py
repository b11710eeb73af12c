"""Arrangements: relations, counts and spots hold in the picture.

The tests use only daguerre's own drawings, so no icon set matters.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Scene, SceneObject, arrangement, things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.grid import BACK_TO_FRONT
from daguerre.models.embedded.drawing.grounds import PATTERNED
from daguerre.models.embedded.drawing.indoors import lined_up
from daguerre.models.embedded.drawing.objects import bounds
from daguerre.models.embedded.drawing.outdoors import sides_of, together
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement, extent
from daguerre.models.embedded.drawing.scene import RELATIONS, SPOTS
from daguerre.models.embedded.drawing.toppings import TOPS
from daguerre.models.embedded.drawing.vessels import CROWNS, GLASSES, VESSELS

BALL = SceneObject("ball", ("drawn", "ball"), "", "g", 1, 0.9, False)
BALLOON = SceneObject("hot air balloon", ("drawn", "hot-air-balloon"), "", "s", 1, 0.9, False)
TABLE = SceneObject("table", ("drawn", "table"), "", "g", 1, 0.9, False)
SMALL = replace(BALL, size=0.3)


def an_object(name: str) -> SceneObject:
    look = things.looks_in(things.BY_NAME[name], "thing")[0]
    return SceneObject(name, look, "", "g", 1, 0.9, False)


def drawn(kind: str, *items: SceneObject, relation: str = "") -> Iterator[list[Placement]]:
    """The positions of objects, in every shape, for several seeds."""
    for shape in drawing.SHAPES:
        for seed in range(6):
            ground = ("plain", "floor", "gradient")[seed % 3]
            scene = Scene(kind, *shape, seed, objects=items, background="blue", ground=ground)
            scene = replace(scene, relation=relation)
            yield arrangement.PLANS[kind](Canvas(scene), scene)


def left(placement: Placement) -> float:
    return placement.x - placement.width / 2


def right(placement: Placement) -> float:
    return placement.x + placement.width / 2


def apart(a: Placement, b: Placement) -> bool:
    across = right(a) <= left(b) or right(b) <= left(a)
    return across or a.foot <= b.top or b.foot <= a.top


def of(placements: list[Placement], item: SceneObject) -> list[Placement]:
    return [s for s in placements if s.item.name == item.name]


@pytest.mark.parametrize("relation", ["left", "right"])
def test_sides_are_sides(relation: str) -> None:
    """An object to the left of another ends before the other begins."""
    for placements in drawn("pair", BALL, TABLE, relation=relation):
        first, second = of(placements, BALL)[0], of(placements, TABLE)[0]
        a, b = (first, second) if relation == "left" else (second, first)
        assert right(a) < left(b)


@pytest.mark.parametrize("relation", ["above", "below"])
def test_above_does_not_overlap(relation: str) -> None:
    """The upper object ends before the lower one begins, and their widths overlap."""
    for placements in drawn("pair", BALL, TABLE, relation=relation):
        first, second = of(placements, BALL)[0], of(placements, TABLE)[0]
        a, b = (first, second) if relation == "above" else (second, first)
        assert a.foot < b.top and left(a) < right(b) and left(b) < right(a)


def test_on_is_at_the_top() -> None:
    """An object on another is over its middle, with its foot in the other's upper part."""
    for placements in drawn("pair", BALL, TABLE, relation="on"):
        ball, table = of(placements, BALL)[0], of(placements, TABLE)[0]
        assert left(table) < left(ball) and right(ball) < right(table)
        assert table.top <= ball.foot < table.top + table.height / 2 and ball.top < table.top


@pytest.mark.parametrize("cover", [BALLOON, replace(TABLE, name="tree")])
def test_under_is_below_the_top_of_a_cover(cover: SceneObject) -> None:
    """An object under another is within its width, and lower by most of its height."""
    for placements in drawn("pair", BALL, cover, relation="under"):
        ball, roof = of(placements, BALL)[0], of(placements, cover)[0]
        assert left(roof) - 1 <= left(ball) and right(ball) <= right(roof) + 1
        assert ball.foot >= roof.foot and ball.top > roof.top + 0.3 * roof.height


@pytest.mark.parametrize("other", [TABLE, replace(BALL, name="balloon"), an_object("house")])
@pytest.mark.parametrize("relation", ["front", "behind"])
def test_behind_is_partly_covered(relation: str, other: SceneObject) -> None:
    """The nearer object is painted last and lower, and covers a part of the other, not most."""
    for placements in drawn("pair", BALL, other, relation=relation):
        far, near = placements
        assert near.item == (BALL if relation == "front" else other)
        assert near.foot > far.foot and not apart(near, far)
        across = min(right(near), right(far)) - max(left(near), left(far))
        down = min(near.foot, far.foot) - max(near.top, far.top)
        assert across * down < 0.65 * far.width * far.height


def test_what_is_in_front_keeps_its_proportion() -> None:
    """People are nearly equally tall; a cat behind a house is smaller than the house."""
    man, woman = an_object("man"), an_object("woman")
    for far, near in drawn("pair", man, woman, relation="front"):
        assert 0.85 * far.height < near.height < far.height
    for far, near in drawn("pair", an_object("cat"), an_object("house"), relation="behind"):
        assert far.item.name == "cat" and far.height < 0.6 * near.height


@pytest.mark.parametrize("flanks", [(replace(TABLE, count=2),), (TABLE, BALLOON)])
def test_between_is_in_the_middle(flanks: tuple[SceneObject, ...]) -> None:
    """An object between others has one on each side, or one above and one below."""
    for placements in drawn("pair", BALL, *flanks, relation="between"):
        assert len(placements) == 3 and placements[1].item == BALL
        a, ball, b = placements
        assert right(a) < left(ball) < right(ball) < left(b) or a.foot < ball.top < b.top


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_counted_things_can_be_counted(count: int) -> None:
    """There are as many objects as the count, all in the frame and without overlap."""
    for shape, placements in zip(
        (shape for shape in drawing.SHAPES for _ in range(6)),
        drawn("group", replace(BALL, count=count)),
        strict=True,
    ):
        assert len(placements) == count
        for i, placement in enumerate(placements):
            assert 0 <= left(placement) and right(placement) <= shape[0]
            assert 0 <= placement.top and placement.foot <= shape[1]
            assert all(apart(placement, other) for other in placements[:i])


@pytest.mark.parametrize("relation", RELATIONS)
def test_pairs_stay_in_the_frame(relation: str) -> None:
    """No object of a pair is cut off, in any shape of the frame."""
    several = (replace(TABLE, count=2 if relation == "and" else 1),)
    shapes = (shape for shape in drawing.SHAPES for _ in range(6))
    for shape, placements in zip(
        shapes, drawn("pair", BALL, *several, relation=relation), strict=True
    ):
        for placement in placements:
            assert -1 <= left(placement) and right(placement) <= shape[0] + 1
            assert -1 <= placement.top and placement.foot <= shape[1] + 1


@pytest.mark.parametrize("spot", SPOTS)
def test_spots_are_where_their_words_say(spot: str) -> None:
    """The centre of an object is in the third of the frame that its spot names."""
    item = replace(BALL, size=0.3, spot=spot)
    shapes = (shape for shape in drawing.SHAPES for _ in range(6))
    for (width, height), placements in zip(shapes, drawn("spot", item), strict=True):
        x, y = placements[0].x / width, (placements[0].foot - placements[0].height / 2) / height
        across = "left" if x < 0.37 else "right" if x > 0.63 else ""
        down = "top" if y < 0.37 else "bottom" if y > 0.63 else ""
        assert " ".join(f"{down} {across}".split()) == ("" if spot == "centre" else spot)


def test_portraits_are_cut_by_the_frame() -> None:
    """A portrait fills the short side of the frame and shows most of its object's upper half."""
    shapes = (shape for shape in drawing.SHAPES for _ in range(6))
    big = replace(BALL, size=1.25)
    for (width, height), placements in zip(shapes, drawn("portrait", big), strict=True):
        placement = placements[0]
        cut = left(placement) < 0 or right(placement) > width or placement.foot > height
        assert cut and -0.12 * height < placement.top < height / 2
        assert placement.width > 0.9 * min(width, height)


@pytest.mark.parametrize("relation", ["left", "right"])
def test_sides_indoors_and_in_landscapes(relation: str) -> None:
    """On a shelf and in a meadow, the first object is on the side that the relation names."""
    for shape in drawing.SHAPES:
        for seed in range(6):
            scene = Scene("room", *shape, seed, objects=(BALL, TABLE), relation=relation)
            indoors = lined_up(Canvas(scene), scene, 0.9 * shape[0], 300, 500)
            meadow = replace(scene, kind="mixed", objects=(SMALL, replace(SMALL, name="tent")))
            first, second = sides_of(Canvas(meadow), meadow)
            half = SMALL.size * min(shape) / 2
            a, b = indoors
            assert right(a) < left(b) and (first < second) == (relation == "left")
            assert a.item == (BALL if relation == "left" else TABLE)
            assert abs(first - second) > half and half < first < shape[0] - half


@pytest.mark.parametrize("side", ["left", "right"])
def test_spots_in_landscapes_are_on_their_side(side: str) -> None:
    """An object with a spot at one side of a landscape is in that third of it."""
    scene = Scene("mixed", 1216, 832, 3, objects=(replace(SMALL, spot=side),))
    (x,) = sides_of(Canvas(scene), scene)
    assert (x < 1216 / 3) == (side == "left") and (x > 1216 * 2 / 3) == (side == "right")


@pytest.mark.parametrize("setting", ["room", "table", "shelf", "window", *FURNISHED])
def test_rooms_are_sound_documents(setting: str) -> None:
    """Every setting indoors composes in every shape, with unique identifiers."""
    for i, shape in enumerate(drawing.SHAPES):
        time, weather = ("night", "clear") if i % 2 else ("day", "rain")
        view = Scene("room", *shape, i, 1, time, weather, "lake", "summer")
        plain = Scene("room", *shape, i, background="pink", relation="right")
        scene = view if setting == "window" else plain
        scene = replace(scene, objects=(BALL, TABLE), setting=setting)
        assert_sound(drawing.compose(scene))


@pytest.mark.parametrize("ground", PATTERNED)
def test_patterned_grounds_have_two_tones(ground: str) -> None:
    """A pattern has two tones of one colour, with about equal areas."""
    tiny = replace(BALL, size=0.1)
    scene = Scene("spot", 1216, 832, 3, objects=(tiny,), background="blue", ground=ground)
    light = drawing.render(scene, 152, 104).mean(axis=2)
    share = float((light > (light.min() * 0.2 + light.max() * 0.8)).mean())
    assert light.std() > 8 and 0.2 < share < 0.8


def test_a_repeated_thing_is_all_over() -> None:
    """Every quarter of a pattern picture shows the object."""
    item = replace(BALL, count=0)
    scene = Scene("pattern", 1024, 1024, 2, objects=(item,), background="white", ground="plain")
    assert_sound(drawing.compose(scene))
    red = drawing.render(scene, 128, 128).astype(int)
    shown = red[..., 0] - red[..., 2] > 60
    for rows, columns in ((a, b) for a in (0, 64) for b in (0, 64)):
        assert shown[rows : rows + 64, columns : columns + 64].mean() > 0.05


def test_art_that_spills_over_its_view_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene does not show the parts of the art outside its view."""
    art = '<rect width="100" height="100" fill="#e23b3b"/><rect y="150" width="90" height="90"/>'
    monkeypatch.setitem(things.DRAWN, "spilling", art)
    item = replace(BALL, look=("drawn", "spilling"), size=0.3, spot="top left")
    scene = Scene("spot", 1024, 1024, 1, objects=(item,), background="white", ground="plain")
    assert bounds(item.look) == (0, 0, 1, 1)
    assert drawing.render(scene, 64, 64)[32:].min() == 255


def assert_sound(document: str) -> None:
    """The document is well-formed; identifiers are unique, and every reference resolves."""
    names = [e.get("id") for e in ET.fromstring(document).iter() if e.get("id")]
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', document)
    assert len(names) == len(set(names)) and set(used) <= set(names)


def contained(container: str, count: int, kinds: int = 1, flip: bool = False) -> Scene:
    items = [replace(BALL, count=count), replace(BALLOON, count=1)][:kinds]
    row = things.BY_NAME[container]
    vessel = SceneObject(container, things.looks(row)[0], "", row.place, 1, 1.0, flip)
    return Scene("pair", 1024, 1024, 3, objects=(*items, vessel), background="blue", relation="in")


@pytest.mark.parametrize("container", [*VESSELS, *GLASSES, *CROWNS])
@pytest.mark.parametrize("count", BACK_TO_FRONT)
def test_what_is_inside_stays_within_the_sides(container: str, count: int) -> None:
    """Every copy is drawn, between the sides of its container and in the frame."""
    for flip in (False, True):
        scene = contained(container, count, flip=flip)
        placements = arrangement.PLANS["pair"](Canvas(scene), scene)
        base, *balls = (p for p in placements if not p.is_overlay)
        assert len(balls) == count and all(ball.item.name == "ball" for ball in balls)
        spare = (0.2 if container == "vase" else 0.02) * base.width
        for ball in balls:
            assert left(base) - spare < left(ball) and right(ball) < right(base) + spare
            assert ball.foot > base.top - 0.75 * ball.height and ball.top < base.foot
        assert extent(placements)[1] >= 0 and extent(placements)[3] <= 1024


def test_a_container_is_drawn_in_the_look_of_its_rim() -> None:
    """Whichever look is chosen, a basket or a bowl is drawn open, with a known rim."""
    for container, look in (("basket", things.looks(things.BY_NAME["basket"])[0]), ("bowl", None)):
        scene = contained(container, 2)
        other = replace(scene.objects[-1], look=things.looks(things.BY_NAME[container])[-1])
        scene = replace(scene, objects=(scene.objects[0], other))
        base = arrangement.PLANS["pair"](Canvas(scene), scene)[0]
        assert base.item.look == (look or ("vessel", "open-bowl"))


@pytest.mark.parametrize("container", ["bowl", "fish bowl"])
def test_a_full_container_stands_on_a_table(container: str) -> None:
    """The container is within the table's width, with its foot at the top of the table."""
    full = contained(container, 5).objects
    for placements in drawn("pair", *full, TABLE, relation="in"):
        table, base, *rest = placements
        assert (table.item.name, base.item.name) == ("table", container)
        assert left(table) < left(base) and right(base) < right(table)
        assert table.top < base.foot < table.top + 0.2 * table.height
        assert len(of(rest, full[0])) == 5
        assert all(abs(one.x - base.x) < base.width for one in rest)
        assert all(one.foot < base.foot for one in of(rest, full[0]))


@pytest.mark.parametrize("base", TOPS)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_toppings_are_on_top_of_food(base: str, count: int) -> None:
    """Every topping is drawn after the food below it, within its width."""
    row = things.BY_NAME[base]
    below = SceneObject(base, things.looks(row)[-1], "", row.place, 1, 1.0, False)
    berry = replace(BALL, name="strawberry", place="i", count=count)
    for placements in drawn("pair", berry, below, relation="on"):
        low, *toppings = placements
        assert low.item.name == base and len(toppings) == count
        for one in toppings:
            assert abs(one.x - low.x) < low.width / 2 and low.top - one.height < one.top
            assert one.foot < low.foot


@pytest.mark.parametrize("relation", ["and", "beside", "left", "right"])
def test_statures_are_sizes_of_two_objects(relation: str) -> None:
    """A tiny object beside a giant one is at most a quarter as high; both are in the frame."""
    tiny, giant = replace(BALL, stature="tiny"), replace(BALLOON, stature="giant")
    for placements in drawn("pair", tiny, giant, relation=relation):
        (small,), (large,) = of(placements, tiny), of(placements, giant)
        assert small.height < 0.25 * large.height and apart(small, large)
        assert small.width > 30 and left(large) > 0 and large.top > 0


def test_the_front_of_a_bowl_hides_what_is_inside() -> None:
    """The bowl is on the canvas once, though its front is drawn over the content again."""
    c = Canvas(contained("bowl", 2))
    for placement in arrangement.PLANS["pair"](c, contained("bowl", 2)):
        placement.draw(c)
    assert [placed.item.name for placed in c.objects] == ["bowl", "ball", "ball"]
    assert "clip-path" in c.parts[-1]


@pytest.mark.parametrize("relation", ["in", "on", "under", "front", "behind", "between", "and"])
def test_groups_in_landscapes_stand_on_the_ground_in_the_frame(relation: str) -> None:
    """Objects in a relation are one group that ends on the ground and touches no side."""
    third = () if relation == "in" else (BALLOON,)
    for shape in drawing.SHAPES:
        scene = Scene("mixed", *shape, 2, objects=(BALL, *third, TABLE), relation=relation)
        left_end, top, right_end, low = extent(together(Canvas(scene), scene))
        assert 0 < left_end and right_end < shape[0] and top > 0.1 * shape[1]
        assert 0.86 * shape[1] < low < 0.94 * shape[1]


@pytest.mark.parametrize("counts", [(1,), (3,), (1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("spot", ["", "left", "right"])
def test_large_objects_in_a_landscape_are_in_the_frame(counts: tuple[int, ...], spot: str) -> None:
    """No object is cut off at a side, in any shape of the frame."""
    for seed, shape in enumerate(drawing.SHAPES):
        items = tuple(replace(BALL, count=n, spot=spot) for n in counts)
        place = ("day", "clear", "hills")
        relation = "left" if len(counts) > 1 else ""
        scene = Scene("mixed", *shape, seed, 0, *place, objects=items, relation=relation)
        for one in paint(scene).objects:
            left, _, right, _ = bounds(one.item.look)
            assert one.x + (left - 0.5) * one.side >= 0
            assert one.x + (right - 0.5) * one.side <= scene.width


def test_seven_balloons_are_below_the_top_of_the_frame() -> None:
    """Two rows of balloons are wholly in a flat frame."""
    for seed in range(20):
        balloons = replace(BALLOON, count=7, size=0.21)
        scene = Scene("mixed", 1536, 640, seed, 0, "day", "clear", "hills", objects=(balloons,))
        c = paint(scene)
        assert len(c.objects) == 7
        assert all(o.y - o.side / 2 + bounds(o.item.look)[1] * o.side > 0 for o in c.objects)


@pytest.mark.parametrize("count", [2, 3])
def test_copies_on_a_floor_are_side_by_side(count: int) -> None:
    """In wide and square frames, two or three copies are in one row on the floor."""
    for width, height in ((1024, 1024), (1344, 768)):
        for seed in range(6):
            scene = Scene("group", width, height, seed, background="blue", ground="floor")
            scene = replace(scene, objects=(replace(BALL, count=count),))
            placements = arrangement.group(Canvas(scene), scene)
            assert len({round(placement.foot) for placement in placements}) == 1


def test_portraits_centre_the_body() -> None:
    """A figure with a rod has its body in the middle, not the middle of body and rod."""
    look = things.looks(things.BY_NAME["fisherman"])[0]
    item = SceneObject("fisherman", look, "", "g", 1, 0.9, False)
    for seed in range(6):
        scene = Scene("portrait", 1024, 1024, seed, objects=(item,), background="blue")
        (placed,) = paint(scene).objects
        assert abs(placed.x - 512) < 0.06 * 1024
