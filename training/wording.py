"""The vocabulary of captions: terrains, places, relations and styles.

Hours and weather are in `weather`.
"""

from __future__ import annotations

from training.places import PLACE_INSIDE, PLACE_ROOMS, PLACE_TERRAINS

# For each terrain: noun phrases with articles, then bare nouns for tags.
TERRAIN_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mountains": (
        ("the mountains", "mountains", "a mountain range", "the mountains"),
        ("mountains", "mountain range", "mountain landscape", "mountain peaks"),
    ),
    "hills": (
        ("rolling hills", "the hills", "green hills", "the countryside"),
        ("hills", "rolling hills", "countryside"),
    ),
    "desert": (("the desert", "a desert", "desert dunes", "sand dunes"), ("desert", "dunes")),
    "river": (("a river", "a winding river", "a river valley"), ("river", "winding river")),
    "forest": (
        ("a forest", "the forest", "a pine forest", "the woods", "a pine wood"),
        ("forest", "pine forest", "woods"),
    ),
    "meadow": (("a meadow", "a flower meadow", "a field of flowers"), ("meadow", "flowers")),
    "jungle": (("the jungle", "a jungle", "a tropical forest"), ("jungle", "tropical forest")),
    "snowfield": (
        ("a snowy field", "a snowy landscape", "a winter landscape"),
        ("snow", "winter landscape", "snowy landscape"),
    ),
    "canyon": (("a canyon", "the canyon", "red rock mesas"), ("canyon", "mesas")),
    "volcano": (
        ("a volcano", "an erupting volcano", "the volcano", "a volcano full of lava"),
        ("volcano", "lava"),
    ),
    "waterfall": (("a waterfall", "the waterfall"), ("waterfall",)),
    "road": (("a road", "a long road", "a road to the horizon"), ("road", "empty road")),
    "village": (
        ("a village", "a small village", "the village", "a little town"),
        ("village", "small houses"),
    ),
    "city": (
        ("a city", "the city", "a city skyline", "a big city", "downtown"),
        ("city", "city skyline", "skyscrapers", "cityscape"),
    ),
    "sea": (
        ("the sea", "the ocean", "a calm sea", "the open sea", "ocean waves"),
        ("sea", "ocean", "seascape"),
    ),
    "beach": (
        ("a beach", "the beach", "a sandy beach", "the seaside", "the shore"),
        ("beach", "sandy beach", "seaside"),
    ),
    "lake": (("a lake", "a mountain lake", "the lake"), ("lake", "mountain lake")),
    "islands": (
        ("a tropical island", "an island with palm trees", "a desert island"),
        ("tropical island", "palm trees"),
    ),
    "underwater": (
        ("the sea floor", "an underwater world", "the ocean depths", "a coral reef"),
        ("underwater", "under the sea"),
    ),
    "space": (
        ("outer space", "space", "the universe", "a galaxy"),
        ("space", "planets", "stars", "galaxy"),
    ),
    "mushrooms": (
        ("glowing mushrooms", "giant glowing mushrooms", "luminous mushrooms"),
        ("glowing mushrooms", "giant mushrooms"),
    ),
    "flowers": (("glowing flowers", "a field of glowing flowers"), ("glowing flowers",)),
    **PLACE_TERRAINS,
}
INSIDE = {  # where a thing is said to be
    "mountains": ("in front of mountains", "in the mountains", "near the mountains"),
    "hills": ("on a hill", "in the hills"),
    "desert": ("in the desert", "in a desert"),
    "river": ("by a river", "near a river"),
    "forest": ("in a forest", "in the forest"),
    "meadow": ("in a meadow", "in a field of flowers"),
    "snowfield": ("in the snow", "in a snowy landscape"),
    "canyon": ("in a canyon", "in the canyon"),
    "road": ("on a road", "on the road"),
    "village": ("in a village", "near a village"),
    "city": ("in the city", "in front of a city skyline"),
    "sea": ("on the sea", "on the ocean"),
    "beach": ("on the beach", "on a beach"),
    "lake": ("on a lake", "on the lake"),
    "islands": ("near a tropical island", "by an island with palm trees"),
    "underwater": ("under water", "in the sea", "under the sea"),
    "space": ("in space", "in outer space"),
    "flowers": ("among glowing flowers", "in a field of glowing flowers"),
    **PLACE_INSIDE,
}
ABOVE = ("over", "above", "flying over")
SEASONS = {
    "spring": "in spring",
    "summer": "in summer",
    "autumn": "in autumn",
    "winter": "in winter",
}
SNOW_ADJECTIVE = (
    *("mountains", "hills", "forest", "river", "road", "village", "waterfall"),
    *("street", "park", "garden", "farm"),
)
PRAISABLE = ("lake", "beach", "sea", "forest", "village", "meadow", "river", "waterfall")
STYLES = (
    "flat illustration",
    "vector art",
    "vector illustration",
    "minimalist illustration",
    "illustration",
    "flat design",
    "simple drawing",
)
PRAISE = ("beautiful", "lovely", "peaceful", "calm", "pretty", "serene", "stunning")
DREAMY = ("surreal", "magical", "dreamlike", "fantasy")
NUMBERS = {
    2: ("two", "two", "2", "a pair of", "a couple of"),
    3: ("three", "three", "3"),
    4: ("four", "four", "4"),
    5: ("five", "five", "5"),
    6: ("six", "six", "6", "half a dozen"),
    7: ("seven", "seven", "7"),
}
STATURE_WORDS = {
    "tiny": ("tiny", "tiny", "tiny", "very small", "miniature", "teeny", "minuscule", "wee"),
    "small": ("small", "small", "small", "little"),
    "big": ("big", "big", "large", "very big"),
    "giant": (
        *("giant", "giant", "huge", "huge", "enormous", "gigantic", "massive", "colossal"),
        *("oversized", "humongous"),
    ),
}
SIDES = {
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
}
SPOT_WORDS = {
    **SIDES,
    "top": ("at the top", "at the top of the picture"),
    "bottom": ("at the bottom", "at the bottom of the picture"),
    "top left": ("in the top left corner", "at the top left", "in the upper left corner"),
    "top right": ("in the top right corner", "at the top right", "in the upper right corner"),
    "bottom left": ("in the bottom left corner", "at the bottom left", "in the lower left corner"),
    "bottom right": (
        "in the bottom right corner",
        "at the bottom right",
        "in the lower right corner",
    ),
    "centre": ("in the centre", "in the middle", "in the center"),
}
# Adjectives of a patterned ground, each with what makes the pattern.
GROUND_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "stripes": (("striped", "stripes"),),
    "dots": (("dotted", "dots"), ("polka dot", "polka dots"), ("spotted", "spots")),
    "checks": (("checkered", "checks"), ("checked", "squares")),
}
RELATION_WORDS = {
    "and": ("and", "and", "and", "with", "together with", "along with", "plus", "&"),
    "beside": (
        *("next to", "next to", "beside", "by the side of", "near", "close to", "alongside"),
        *("right next to", "side by side with", "standing next to", "placed beside"),
    ),
    "left": (
        *("to the left of", "to the left of", "left of", "left of", "on the left of"),
        *("on the left side of", "to the left side of", "at the left of"),
    ),
    "right": (
        *("to the right of", "to the right of", "right of", "right of", "on the right of"),
        *("on the right side of", "to the right side of", "at the right of"),
    ),
    "above": ("above", "above", "above", "over", "directly above", "high above", "hovering above"),
    "below": ("below", "below", "below", "beneath", "directly below", "placed below"),
    "on": (
        *("on", "on", "on", "on top of", "on the top of", "sitting on", "standing on"),
        *("lying on", "resting on", "placed on", "sitting on top of", "balancing on"),
    ),
    "under": ("under", "under", "under", "underneath", "standing under", "hiding under"),
    "front": ("in front of", "in front of", "right in front of", "standing in front of"),
    "behind": ("behind", "behind", "right behind", "standing behind", "hiding behind"),
    "in": ("in", "in", "in", "inside", "inside of", "within"),
    "between": ("between", "between", "in between"),
    "holding": ("holding", "holding", "with", "carrying"),
    "riding": ("riding", "riding", "riding on", "on", "on top of"),
}
# Verbs from the first object to the second, then passive ones from the second to the first.
ACTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "holding": (("holding", "holding", "carrying", "holding up"), ("held by", "carried by")),
    "riding": (("riding", "riding", "riding on"), ("ridden by",)),
}
# How people are on a seat.
SITTING = ("on", "on", "sitting on", "sitting on", "sitting on", "seated on", "who sits on")
# The relation of the second object to the first.
CONVERSE = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
    "on": "under",
    "under": "above",
    "front": "behind",
    "behind": "front",
}
# For each place indoors: where things are, and what has them.
INDOORS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "room": (("in a room", "in a room", "on the floor", "indoors"), ("a room", "a cosy room")),
    "table": (("on a table", "on the table", "on a wooden table"), ("a table", "a wooden table")),
    "window": (
        ("on a windowsill", "on the windowsill", "on a window sill", "by the window"),
        ("a windowsill", "a window", "the window"),
    ),
    "shelf": (("on a shelf", "on the shelf", "on a wooden shelf"), ("a shelf", "a wooden shelf")),
    **PLACE_ROOMS,
}
# For each style: names of a picture in it, and what follows a caption.
Style = tuple[tuple[str, ...], tuple[str, ...]]
STYLE_WORDS: dict[str, Style] = {
    "pixel art": (
        ("pixel art", "8-bit pixel art", "pixel art picture"),
        ("pixel art", "in pixel art style", "pixel art style", "8-bit style"),
    ),
    "line drawing": (
        ("line drawing", "ink drawing", "outline drawing", "line art"),
        ("line drawing", "line art", "in ink lines", "as a line drawing", "outlines only"),
    ),
    "watercolour": (
        ("watercolour", "watercolor", "watercolour painting", "watercolor painting"),
        ("watercolour", "in watercolour", "watercolor style", "in watercolor"),
    ),
    "pastel": (
        ("pastel drawing", "pastel illustration", "pastel picture"),
        ("in pastel colours", "pastel colors", "soft pastel tones", "in pastel"),
    ),
    "neon": (
        ("neon drawing", "neon art", "neon illustration"),
        ("neon", "in neon lights", "in neon style", "neon glow", "as a neon sign"),
    ),
    "black and white": (
        ("black and white drawing", "black and white picture", "monochrome illustration"),
        ("black and white", "in black and white", "monochrome", "greyscale", "grayscale"),
    ),
    "vintage": (
        ("vintage illustration", "vintage picture", "old postcard", "retro illustration"),
        ("vintage", "in vintage style", "retro style", "sepia", "in sepia"),
    ),
}
