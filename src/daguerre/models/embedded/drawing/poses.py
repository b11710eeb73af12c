"""Poses of a figure: the lines of its arms and legs, on a view of 120 x 160."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

Point = tuple[float, float]
Line = tuple[Point, ...]

SHOULDERS = ((47.0, 53.0), (73.0, 53.0))
HANDS_FREE = (
    ((47.0, 53.0), (41.0, 70.0), (39.0, 88.0)),
    ((73.0, 53.0), (79.0, 70.0), (81.0, 88.0)),
)
STRAIGHT = (
    ((54.0, 95.0), (53.0, 122.0), (52.0, 150.0)),
    ((66.0, 95.0), (67.0, 122.0), (68.0, 150.0)),
)


@dataclass(frozen=True)
class Pose:
    """Arms and legs, left and right; `lean` turns the upper body, in degrees."""

    arms: tuple[Line, Line] = HANDS_FREE
    legs: tuple[Line, Line] = STRAIGHT
    lean: float = 0
    in_front: tuple[bool, bool] = (False, False)  # which arms are in front of the body
    toes: float = 0  # how far the feet point to the right
    legs_in_front: bool = False  # of the body
    has_book: bool = False
    is_asleep: bool = False  # lying, with its eyes closed
    prop_at: Point | None = None  # where the prop is, if not in the hand


def _right(*points: Point) -> Line:
    return (SHOULDERS[1], *points)


def _left(*points: Point) -> Line:
    return (SHOULDERS[0], *points)


WAVING = _right((88, 45), (93, 23))
POSES: dict[str, Pose] = {
    "": Pose(),
    "standing": Pose(),
    "sitting": Pose(  # on the ground
        arms=(_left((38, 74), (34, 94)), _right((82, 70), (86, 84))),
        legs=(((56, 94), (80, 78), (88, 98)), ((62, 97), (88, 82), (97, 101))),
        in_front=(False, True),
        toes=4,
        legs_in_front=True,
    ),
    "seated": Pose(  # on a seat
        arms=(_left((43, 74), (52, 90)), _right((80, 72), (84, 88))),
        legs=(((54, 95), (78, 94), (77, 122)), ((62, 96), (87, 97), (89, 124))),
        in_front=(False, True),
        toes=4,
        legs_in_front=True,
    ),
    "walking": Pose(
        arms=(_left((40, 69), (46, 86)), _right((80, 70), (74, 87))),
        legs=(((57, 95), (52, 121), (42, 147)), ((63, 95), (71, 120), (76, 150))),
        lean=3,
        in_front=(False, True),
        toes=4,
    ),
    "running": Pose(
        arms=(_left((36, 68), (49, 80)), _right((83, 72), (98, 62))),
        legs=(((57, 95), (49, 119), (26, 124)), ((63, 95), (84, 106), (82, 134))),
        lean=12,
        in_front=(False, True),
        toes=4,
    ),
    "waving": Pose(arms=(HANDS_FREE[0], WAVING)),
    "holding": Pose(arms=(HANDS_FREE[0], _right((83, 70), (97, 63))), in_front=(False, True)),
    "showing": Pose(),  # hands behind a board
    "riding": Pose(
        arms=(_left((54, 72), (72, 78)), _right((76, 74), (90, 80))),
        legs=(((56, 95), (76, 104), (70, 128)), ((62, 95), (82, 104), (76, 130))),
        lean=4,
        in_front=(False, True),
        toes=5,
        legs_in_front=True,
    ),
    "dancing": Pose(
        arms=(_left((30, 46), (33, 25)), _right((90, 60), (99, 43))),
        legs=(((56, 95), (52, 122), (55, 150)), ((64, 95), (86, 108), (76, 131))),
        lean=-5,
    ),
    "jumping": Pose(
        arms=(_left((32, 40), (25, 20)), _right((88, 40), (95, 20))),
        legs=(((55, 95), (40, 108), (34, 132)), ((65, 95), (82, 108), (74, 130))),
    ),
    "reading": Pose(
        arms=(_left((41, 72), (54, 80)), _right((79, 72), (66, 80))),
        in_front=(True, True),
        has_book=True,
    ),
    "sleeping": Pose(is_asleep=True),
    "cheering": Pose(arms=(_left((33, 38), (30, 16)), _right((87, 38), (90, 16)))),
    "playing": Pose(
        arms=(_left((42, 70), (60, 78)), _right((86, 66), (82, 54))), in_front=(True, True)
    ),
    "singing": Pose(
        arms=(_left((34, 60), (26, 44)), _right((84, 62), (72, 42))), in_front=(False, True)
    ),
    "ballet": Pose(
        arms=(_left((40, 28), (54, 6)), _right((80, 28), (66, 6))),
        legs=(((57, 95), (58, 122), (60, 152)), ((64, 95), (86, 114), (62, 126))),
    ),
    "kicking": Pose(
        arms=(_left((34, 64), (26, 80)), _right((86, 60), (98, 70))),
        legs=(((56, 95), (52, 122), (50, 150)), ((64, 95), (80, 114), (96, 134))),
        lean=-6,
        toes=4,
        prop_at=(108, 143),
    ),
    "skating": Pose(
        arms=(_left((30, 60), (18, 66)), _right((88, 56), (102, 52))),
        legs=(((56, 95), (44, 116), (44, 138)), ((64, 95), (80, 114), (76, 138))),
        lean=6,
        toes=4,
        prop_at=(60, 148),
    ),
    "kneeling": Pose(
        arms=(HANDS_FREE[0], _right((80, 72), (88, 84))),
        legs=(((55, 95), (54, 122), (32, 126)), ((65, 95), (84, 102), (84, 127))),
        in_front=(False, True),
        toes=4,
    ),
}


def along(line: Line, share: float) -> Line:
    """The first part of a line."""
    lengths = [hypot(b[0] - a[0], b[1] - a[1]) for a, b in zip(line, line[1:], strict=False)]
    rest = sum(lengths) * share
    found = [line[0]]
    for (a, b), length in zip(zip(line, line[1:], strict=False), lengths, strict=True):
        if rest <= length:
            k = rest / length if length else 0
            return (*found, (a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k))
        found.append(b)
        rest -= length
    return tuple(found)
