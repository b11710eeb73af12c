"""Names of the values of a scene's fields, besides the values themselves."""

from __future__ import annotations

from daguerre.models.embedded.drawing.palette import BACKS

# Field -> value -> its other names, in the singular.
SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "terrain": {
        "mountains": ("mountain", "peak"),
        "hills": ("hill",),
        "desert": ("dune", "sand dune"),
        "forest": ("wood",),
        "meadow": ("field of flowers",),
        "jungle": ("rainforest",),
        "snowfield": ("snow", "snowy field"),
        "city": ("skyline", "skyscraper"),
        "sea": ("ocean",),
        "islands": ("island",),
        "underwater": ("sea floor",),
        "space": ("outer space",),
        "mushrooms": ("mushroom", "glowing mushroom"),
        "flowers": ("glowing flower",),
        "street": ("city street", "alley"),
        "park": ("playground",),
        "garden": ("backyard",),
        "waterfront": ("skyline",),
        "harbour": ("harbor", "port"),
        "moonscape": ("moon surface", "lunar landscape"),
    },
    "setting": {"cafe": ("coffee shop", "restaurant"), "stage": ("theatre", "theater")},
    "time": {
        "dawn": ("sunrise",),
        "day": ("daylight",),
        "dusk": ("twilight",),
        "night": ("night sky",),
    },
    "weather": {
        "cloudy": ("cloud",),
        "rain": ("downpour", "rainstorm", "rain storm"),
        "snow": ("blizzard", "snowstorm", "snow storm"),
        "fog": ("mist",),
        "storm": ("thunderstorm", "lightning"),
        "aurora": ("northern lights",),
    },
    "background": {name: (f"{name} background",) for name in BACKS},
}
