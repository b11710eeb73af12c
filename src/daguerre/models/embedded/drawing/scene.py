"""Data of a scene: its fields, its objects, and the full sizes of pictures.

Sampling fills a scene, drawing shows it, and captions describe it. The seed decides the layout,
which no caption mentions.
"""

from __future__ import annotations

from dataclasses import dataclass

# Width and height of every picture. The denoiser was trained with these indices: keep the order.
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
# The denoiser was trained with this order, too: new terrains come last.
TERRAINS = (
    *("mountains", "hills", "desert", "river", "forest", "meadow", "jungle", "snowfield"),
    *("canyon", "volcano", "waterfall", "road", "village", "city", "mushrooms", "flowers"),
    *("sea", "beach", "lake", "islands", "underwater", "space"),
    *("street", "park", "garden", "farm", "cliff", "waterfront", "harbour", "moonscape"),
)
RAINY = ("rain", "storm")  # weather
TIMELESS = ("underwater", "space", "moonscape")  # no hour, no weather
WATERS = (
    "sea",
    "beach",
    "lake",
    "islands",
    "waterfront",
    "harbour",
)  # no place for objects of the ground
# Terrains with a tall horizon that hides a low sun.
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
    "street",
    "park",
    "garden",
    "farm",
    "waterfront",
    "harbour",
)

# thing and group: one to seven copies on simple ground; pair: two or three objects in a
# relation; spot: an object of some size somewhere in the frame; room: indoors; pattern: an object
# repeated; portrait: an object larger than the frame; mixed: objects in a landscape; lettering:
# words on simple ground, with or without objects.
KINDS = (
    *("thing", "landscape", "mixed", "group", "pair", "spot", "room", "pattern", "portrait"),
    "lettering",
)
# "left": the first object is to the left of the second. "and" and "beside" leave the side open;
# "between": the first is between the second and the third, or between two of the second.
# "holding" and "riding": the first holds or rides the second; the two are drawn as one.
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
    "in",
    "holding",
    "riding",
    "wearing",
)
# The surfaces for the quoted words of a prompt.
LETTERINGS = (
    *("sign", "banner", "shirt", "wall", "book", "cake", "poster", "chalkboard", "neon"),
    *("storefront", "bubble", "billboard", "paper", "screen", "mug"),
)
# Centre of an object at each spot, as shares of the free space in the frame.
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
    """One object of a scene, one or more copies of it."""

    name: str
    look: tuple[str, str]  # art set and icon, or ("glow", "mushroom")
    colour: str  # "" keeps its own colours
    place: str  # g, w, s, u as in the table of things
    count: int
    size: float  # share of the short side
    flip: bool
    glowing: bool = False
    stature: str = ""  # tiny, small, big, giant; "" for the usual size
    spot: str = ""  # position in the frame, one of SPOTS; "" for none
    is_reflected: bool = False  # mirrored in the water below it
    pose: str = ""  # of a person or an animal; "" for the usual one
    outfit: str = ""  # of a person
    hat: str = ""  # of a person


@dataclass(frozen=True)
class Scene:
    """Everything that is visible in a picture."""

    kind: str  # one of KINDS
    width: int
    height: int
    seed: int  # of the layout
    palette: int = 0  # which of the hour's palettes
    time: str = ""  # dawn, day, sunset, dusk, night; "" for none
    weather: str = ""  # clear, cloudy, rain, snow, fog, rainbow, storm, aurora
    terrain: str = ""
    season: str = ""  # spring, summer, autumn, winter; "" for none
    objects: tuple[SceneObject, ...] = ()
    background: str = ""  # colour word of the background or of a room's wall
    ground: str = ""  # plain, gradient, floor, circle, stripes, dots, checks
    moon: bool = False
    sun: bool = False
    glow: str = ""  # colour word of glowing mushrooms or flowers
    relation: str = ""  # of the first object to the next, one of RELATIONS
    setting: str = ""  # indoors: room, table, shelf, window
    style: str = ""  # a key of style.FILTERS; "" for flat
    lettering: str = ""  # surface of the quoted words of the prompt, one of LETTERINGS; "" for none
    lettering_colour: str = ""  # colour word of that surface
    words: str = ""  # on that surface; no field, because they are taken from the prompt

    @property
    def is_snowy(self) -> bool:
        """True if snow lies on the land."""
        return self.season == "winter" or self.weather == "snow"

    @property
    def is_after_sunset(self) -> bool:
        """True if the lamps of rooms are lit."""
        return self.time in ("night", "dusk")

    @property
    def is_dark(self) -> bool:
        """True if the lamps and windows of houses are lit."""
        return self.is_after_sunset or self.weather == "storm"

    @property
    def ground_season(self) -> str:
        """The season that the land shows; snowfall makes it winter."""
        return "winter" if self.is_snowy else self.season
