"""Riding, holding and sitting: two objects in one drawing, each in its place and colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import dressing, figures, hands, joining, things
from daguerre.models.embedded.drawing.mounts import RIDEABLE, SEATS
from daguerre.models.embedded.drawing.mouths import MOUTHS
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement


def thing(name: str, **said: object) -> drawing.SceneObject:
    row = things.BY_NAME[name]
    item = drawing.SceneObject(name, things.looks_in(row, "pair")[0], "", row.place, 1, 0.9, False)
    return replace(item, **said)  # type: ignore[arg-type]


def pair(relation: str, first: str, second: str, **said: object) -> drawing.Scene:
    items = (thing(first), thing(second, **said))
    return drawing.Scene(
        "pair", 1024, 1024, 3, objects=items, background="white", ground="plain", relation=relation
    )


@pytest.mark.parametrize("mount", RIDEABLE)
def test_a_rider_is_above_what_is_ridden(mount: str) -> None:
    """Both are inside the frame, and the rider's middle is over the mount."""
    below, above = sorted(paint(pair("riding", "man", mount)).objects, key=lambda o: -o.y)
    assert (above.item.name, below.item.name) == ("man", mount)
    assert abs(above.x - below.x) < below.side / 2
    for placed in (above, below):
        assert 0 < placed.x < 1024 and 0 < placed.y < 1024


@pytest.mark.parametrize("holder", ["girl", "bear", "cat"])
def test_what_is_held_is_near_the_holder(holder: str) -> None:
    objects = {
        placed.item.name: placed for placed in paint(pair("holding", holder, "apple")).objects
    }
    body, apple = objects[holder], objects["apple"]
    assert abs(apple.x - body.x) < body.side / 2 and apple.side < body.side / 1.5


@pytest.mark.parametrize("animal", MOUTHS)
def test_animals_have_food_in_the_mouth(animal: str) -> None:
    """What an animal eats is in front of it or at its mouth; the animal remains visible."""
    objects = {o.item.name: o for o in paint(pair("holding", animal, "steak")).objects}
    body, steak = objects[animal], objects["steak"]
    x, y = MOUTHS[animal]
    assert abs(steak.x - body.x - (x - 0.5) * body.side) < 0.02 * body.side
    assert abs(steak.y - body.y - (y - 0.5) * body.side) < 0.05 * body.side
    assert steak.side < body.side / 1.5


@pytest.mark.parametrize("person", ["pirate", "girl", "old woman"])
def test_a_parrot_sits_on_a_shoulder(person: str) -> None:
    """The parrot is above the middle of the person, and much smaller."""
    objects = {o.item.name: o for o in paint(pair("on", "parrot", person)).objects}
    parrot, body = objects["parrot"], objects[person]
    assert parrot.y < body.y and abs(parrot.x - body.x) < body.side / 3
    assert parrot.side < body.side / 2


def test_a_cat_plays_with_yarn_on_the_ground() -> None:
    objects = {o.item.name: o for o in paint(pair("holding", "cat", "yarn")).objects}
    cat, yarn = objects["cat"], objects["yarn"]
    foot, low = (o.y + o.side * (things.bounds(o.item.look)[3] - 0.5) for o in (cat, yarn))
    assert abs(foot - low) < 0.02 * cat.side and yarn.x < cat.x


@pytest.mark.parametrize(("relation", "second"), [("riding", "horse"), ("holding", "balloon")])
def test_colour_of_the_second_is_visible(relation: str, second: str) -> None:
    """A green horse is a green one, also under its rider."""
    plain = drawing.render(pair(relation, "knight", second), 96, 96).astype(int)
    green = drawing.render(pair(relation, "knight", second, colour="green"), 96, 96).astype(int)
    assert (np.abs(plain - green).max(axis=-1) > 60).mean() > 0.01


@pytest.mark.parametrize("board", ["clipboard", "book", "laptop"])
def test_the_hand_is_over_the_edge_of_a_board(board: str) -> None:
    """The hand is drawn last, at the board's edge; a cat is in the arm instead."""
    (joined,) = dressing.dressed(pair("holding", "doctor", board)).objects
    *_, held, hand = joining.parts(joined.look[1])[0]
    assert hand.look[0] == hands.HAND and held.look[0] != hands.HAND
    left, _, right, _ = things.bounds(hand.look)
    edge = held.x + things.bounds(held.look)[0] * held.side
    assert hand.x + left < edge + 0.01 and edge < hand.x + right
    (hugged,) = dressing.dressed(pair("holding", "doctor", "cat")).objects
    assert all(part.look[0] != hands.HAND for part in joining.parts(hugged.look[1])[0])


@pytest.mark.parametrize("who", ["baker", "sorceress", "farmer"])
def test_who_holds_a_sign_has_nothing_else_in_hand(who: str) -> None:
    scene = replace(pair("holding", who, "apple"), kind="lettering", lettering="sign", words="Hi")
    (holder,) = dressing.dressed(replace(scene, objects=scene.objects[:1])).objects
    assert figures.styled(who).prop and not figures.styled(holder.look[1]).prop


@pytest.mark.parametrize("seat", ["chair", "armchair", "bench", "sofa", "stool"])
def test_people_are_large_enough_for_their_seats(seat: str) -> None:
    """A seated man is about as high as what he sits on, and within its width."""
    man, base = sorted(
        (Placement.of(p) for p in paint(pair("on", "man", seat)).objects),
        key=lambda p: p.item.name != "man",
    )
    assert 0.55 * base.height < man.height < 1.3 * base.height
    assert base.x - base.width / 2 < man.x < base.x + base.width / 2


def test_objects_that_cannot_be_joined_stand_side_by_side() -> None:
    """A man cannot ride an apple; the picture shows him beside it."""
    scene = dressing.dressed(pair("riding", "man", "apple"))
    assert scene.relation == "beside"
    assert [item.name for item in scene.objects] == ["man", "apple"]


@pytest.mark.parametrize("seat", SEATS)
def test_people_sit_on_seats(seat: str) -> None:
    """A person on a seat sits; an animal stands on it."""
    sitting = dressing.dressed(pair("on", "woman", seat)).objects
    assert len(sitting) == 1 and "|seated|" in sitting[0].look[1]
    assert len(dressing.dressed(pair("on", "cat", seat)).objects) == 2


@pytest.mark.parametrize("mount", ["horse", "broom", "bicycle", "skateboard"])
def test_people_on_what_can_be_ridden_ride_it(mount: str) -> None:
    """A witch on a broom rides it, and holds no other one."""
    on, riding = (paint(pair(relation, "sorceress", mount)) for relation in ("on", "riding"))
    assert [placed.item for placed in on.objects] == [placed.item for placed in riding.objects]
    (joined,) = dressing.dressed(pair("on", "sorceress", mount)).objects
    assert isinstance(joined, joining.JoinedObject)
    assert not figures.decided("sorceress", joined.parts[0].pose, "", "", "", 0).prop


def test_animals_on_boards_stand_on_them() -> None:
    """A cat on a skateboard is over a board that lies flat; on a horse, it stands."""
    assert len(dressing.dressed(pair("on", "cat", "skateboard")).objects) == 1
    assert len(dressing.dressed(pair("on", "cat", "horse")).objects) == 2


def test_riders_on_a_beach_are_on_the_ground() -> None:
    """A horse on a beach stands on the sand, one at sea in the water."""
    sea = replace(pair("riding", "man", "horse"), kind="mixed", time="day", terrain="sea")
    assert dressing.dressed(sea).objects[0].place == "w"
    assert dressing.dressed(replace(sea, terrain="beach")).objects[0].place == "g"


@pytest.mark.parametrize("terrain", ["hills", "sea"])
def test_who_rides_a_broom_flies(terrain: str) -> None:
    """On a broom in the air; with a broom in the hand on the ground."""
    places = {}
    for relation in ("riding", "on", "holding"):
        scene = replace(pair(relation, "sorceress", "broom"), kind="mixed", time="day")
        places[relation] = dressing.dressed(replace(scene, terrain=terrain)).objects[0].place
    assert places["riding"] == places["on"] == "s" != places["holding"]
