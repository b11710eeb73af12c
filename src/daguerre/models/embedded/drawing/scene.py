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

# thing and group: one to five of a thing on simple ground; pair: two or three things that stand in
# a relation; spot: a thing's size and place in the frame; room: indoors; pattern: a thing repeated
# all over; portrait: a thing so large that the frame cuts it; mixed: things in a landscape.
KINDS = ("thing", "landscape", "mixed", "group", "pair", "spot", "room", "pattern", "portrait")
# "left" reads: the first thing is to the left of the second. "and" and "beside" name no side;
# "between" is the first thing between the second and the third, or between two of the second.
RELATIONS = (
    "and",
    "beside",
    "left",
    "right",
    "above",
    "below",
    "on",
    "under",
    "front",
    "behind",
    "between",
)
# Middle of a thing at each spot, as shares of what the frame leaves free.
SPOTS: dict[str, tuple[float, float]] = {
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "top left": (0.0, 0.0),
    "top right": (1.0, 0.0),
    "bottom left": (0.0, 1.0),
    "bottom right": (1.0, 1.0),
    "centre": (0.5, 0.5),
}


@dataclass(frozen=True)
class SceneObject:
    """One thing of a scene, possibly several times."""

    name: str
    look: tuple[str, str]  # art set and icon, or ("glow", "mushroom")
    colour: str  # "" when it keeps its own colours
    place: str  # g, w, s, u as in the table of things
    count: int
    size: float  # of the short side
    flip: bool
    glowing: bool = False
    stature: str = ""  # tiny, small, big, giant; "" for the usual size
    spot: str = ""  # where in the frame, one of SPOTS; "" where nothing is meant
    is_reflected: bool = False  # upside down in the water below it


@dataclass(frozen=True)
class Scene:
    """Everything that can be seen in a picture."""

    kind: str  # one of KINDS
    width: int
    height: int
    seed: int  # of the layout
    palette: int = 0  # which of the hour's palettes
    time: str = ""  # dawn, day, sunset, dusk, night; "" where there is none
    weather: str = ""  # clear, cloudy, rain, snow, fog, rainbow, storm, aurora
    terrain: str = ""
    season: str = ""  # spring, summer, autumn, winter; "" where it does not show
    objects: tuple[SceneObject, ...] = ()
    background: str = ""  # colour word behind things, and of a room's wall
    ground: str = ""  # plain, gradient, floor, circle, stripes, dots, checks
    moon: bool = False
    sun: bool = False
    glow: str = ""  # colour word of glowing mushrooms or flowers
    relation: str = ""  # of the first thing to the next, one of RELATIONS
    setting: str = ""  # indoors: room, table, shelf, window
    style: str = ""  # how it is drawn; "" for flat

    @property
    def is_snowy(self) -> bool:
        """True when snow lies on the land."""
        return self.season == "winter" or self.weather == "snow"

    @property
    def ground_season(self) -> str:
        """The season that the land shows, which falling snow makes winter."""
        return "winter" if self.is_snowy else self.season
