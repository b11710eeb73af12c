"""Mounts, boards and seats, and the place of a person on each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """The point of a rider's seat on the first look of a thing, as shares of its square."""

    x: float
    y: float
    rider: float = 0.85  # height of a figure's view
    is_standing: bool = False


# All of these looks face left.
MOUNTS: dict[str, Mount] = {
    "horse": Mount(0.58, 0.36, 1.0),
    "elephant": Mount(0.6, 0.16, 0.75),
    "camel": Mount(0.66, 0.22, 0.8),
    "cow": Mount(0.6, 0.33),
    "pig": Mount(0.66, 0.17, 0.75),
    "turtle": Mount(0.7, 0.22, 0.75),
    "unicorn": Mount(0.55, 0.36, 0.95),
    "dragon": Mount(0.62, 0.42, 0.7),
    "dinosaur": Mount(0.52, 0.5, 0.75),
    "t-rex": Mount(0.55, 0.33, 0.75),
    "tiger": Mount(0.62, 0.38, 0.8),
    "leopard": Mount(0.6, 0.42, 0.8),
    "zebra": Mount(0.68, 0.37, 0.85),
    "giraffe": Mount(0.62, 0.49, 0.7),
    "bicycle": Mount(0.62, 0.42, 1.1),
    "motorcycle": Mount(0.58, 0.6, 0.95),
    "scooter": Mount(0.68, 0.46, 0.95),
    "kick scooter": Mount(0.52, 0.85, 1.15, True),
    "sled": Mount(0.52, 0.42, 0.85),
    "whale": Mount(0.62, 0.47, 0.6),
    "dolphin": Mount(0.42, 0.06, 0.7),
    "goat": Mount(0.68, 0.43, 0.8),
    "sheep": Mount(0.6, 0.12, 0.75),
    "deer": Mount(0.6, 0.48, 0.75),
    "llama": Mount(0.62, 0.42, 0.8),
    "ox": Mount(0.56, 0.28, 0.85),
    "rhinoceros": Mount(0.6, 0.27, 0.8),
    "hippopotamus": Mount(0.65, 0.28, 0.75),
    "duck": Mount(0.62, 0.37, 0.65),
    "swan": Mount(0.62, 0.48, 0.65),
    "wave": Mount(0.6, 0.78, 0.75, True),
}


@dataclass(frozen=True)
class Board:
    """A board under the rider: a drawing of the wardrobe, and its usual colour."""

    drawing: str
    colour: str
    is_standing: bool = True


BOARDS: dict[str, Board] = {
    "skateboard": Board("skateboard flat", "#e5544b"),
    "surfboard": Board("surfboard flat", "#f4b942"),
    "snowboard": Board("snowboard flat", "#3f6fd0"),
    "skis": Board("skis flat", "#d9342b"),
    "broom": Board("broom flat", "#d9a441", is_standing=False),
}
# Seats of people, who face right.
SEATS: dict[str, Mount] = {
    "bench": Mount(0.5, 0.6, 1.2),
    "chair": Mount(0.46, 0.56, 1.45),
    "sofa": Mount(0.46, 0.75, 0.95),
    "bed": Mount(0.62, 0.7, 0.85),
    "rock": Mount(0.55, 0.15, 0.95),
    "tree stump": Mount(0.5, 0.32, 1.1),
    "stool": Mount(0.5, 0.34, 1.35),
    "swing": Mount(0.5, 0.7, 0.95),
    "armchair": Mount(0.5, 0.7, 1.3),
    "throne": Mount(0.5, 0.62, 1.0),
    "toilet": Mount(0.4, 0.53, 1.25),
    "moon": Mount(0.52, 0.76, 0.6),
    "cloud": Mount(0.5, 0.34, 0.65),
}
RIDEABLE = (*MOUNTS, *BOARDS)
