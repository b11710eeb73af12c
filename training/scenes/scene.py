"""What can be seen in a picture: a scene, the things in it, and the full sizes it can have.

Plain data that sampling fills in, drawing shows and captions describe; the seed stands for the
layout, which no caption speaks of. Nothing here draws, chooses or words anything.
"""

from __future__ import annotations

from dataclasses import dataclass

# Full width and height of every picture that is served.
SHAPES: tuple[tuple[int, int], ...] = (
    (1024, 1024),
    (1344, 768),
    (1536, 640),
    (832, 1216),
    (1216, 832),
    (896, 1088),
    (1088, 896),
    (768, 1344),
    (640, 1536),
)
TIMELESS = ("underwater", "space")  # no hour, no weather
WATERS = ("sea", "beach", "lake", "islands")  # a thing of the ground cannot stand there
# Terrains with something tall at the horizon, which hides a low sun.
RIDGED = (
    "mountains",
    "lake",
    "river",
    "forest",
    "snowfield",
    "road",
    "village",
    "city",
    "waterfall",
    "meadow",
    "canyon",
    "volcano",
)


@dataclass(frozen=True)
class Placed:
    """One thing of a scene, possibly several times."""

    name: str
    look: tuple[str, str]  # art set and icon, or ("glow", "mushroom")
    colour: str  # "" when it keeps its own colours
    place: str  # g, w, s, u as in the table of things
    count: int
    size: float  # of the short side
    flip: bool
    glowing: bool = False


@dataclass(frozen=True)
class Scene:
    """Everything that can be seen in a picture."""

    kind: str  # "thing", "landscape", "mixed"
    width: int
    height: int
    seed: int  # of the layout
    palette: int = 0  # which of the hour's palettes
    time: str = ""  # dawn, day, sunset, dusk, night; "" where there is none
    weather: str = ""  # clear, cloudy, rain, snow, fog, rainbow, storm, aurora
    terrain: str = ""
    season: str = ""  # spring, summer, autumn, winter; "" where it does not show
    things: tuple[Placed, ...] = ()
    background: str = ""  # colour word behind a lone thing
    ground: str = ""  # plain, gradient, floor, circle
    moon: bool = False
    sun: bool = False
    glow: str = ""  # colour word of glowing mushrooms or flowers

    @property
    def is_snowy(self) -> bool:
        """True when snow lies on the land."""
        return self.season == "winter" or self.weather == "snow"

    @property
    def ground_season(self) -> str:
        """The season that the land shows, which falling snow makes winter."""
        return "winter" if self.is_snowy else self.season
