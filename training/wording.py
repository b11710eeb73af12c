"""The words of captions: templates, and phrases for hours, weather, terrains, places and styles.

A template's fields are filled in by `captions`. Those in `HELD_OUT_TEMPLATES` are never used for
training; they serve to judge a model on new wordings.
"""

from __future__ import annotations

TIME_PHRASES = {
    "dawn": ("at dawn", "at sunrise", "in the early morning", "in the morning light"),
    "day": ("by day", "during the day", "in daylight", "in the daytime"),
    "sunset": ("at sunset", "at sunset", "during sunset", "at golden hour", "in the sunset light"),
    "dusk": ("at dusk", "at twilight", "in the evening", "after sunset"),
    "night": ("at night", "at night", "by night", "under a night sky", "under the night sky"),
}
TIME_NOUNS = {
    "dawn": ("sunrise", "dawn", "morning"),
    "day": ("blue sky", "bright day"),
    "sunset": ("sunset", "sunset", "sunset", "golden hour"),
    "dusk": ("dusk", "twilight"),
    "night": ("night", "night sky"),
}
WEATHER_PHRASES = {
    "cloudy": ("under a cloudy sky", "with clouds", "on a cloudy day"),
    "rain": ("in the rain", "with rain falling", "in rainy weather"),
    "snow": ("in the snow", "with falling snow", "while it snows"),
    "fog": ("in the fog", "in the mist", "with fog"),
    "rainbow": ("with a rainbow", "under a rainbow", "with a rainbow in the sky"),
    "storm": ("in a thunderstorm", "with lightning", "during a storm", "with a lightning bolt"),
    "aurora": ("under the northern lights", "with an aurora", "under the aurora"),
    "clear": ("", "", "with a clear sky"),
}
WEATHER_TAGS = {
    "cloudy": "clouds",
    "rain": "rain",
    "snow": "snow",
    "fog": "fog",
    "rainbow": "rainbow",
    "storm": "lightning",
    "aurora": "aurora",
    "clear": "",
}
# For each terrain: noun phrases with articles, then bare nouns for tags.
TERRAIN_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mountains": (
        ("the mountains", "mountains", "a mountain range", "the mountains"),
        ("mountains", "mountain range", "mountain landscape"),
    ),
    "hills": (("rolling hills", "the hills", "green hills"), ("hills", "rolling hills")),
    "desert": (("the desert", "a desert", "desert dunes", "sand dunes"), ("desert", "dunes")),
    "river": (("a river", "a winding river", "a river valley"), ("river", "winding river")),
    "forest": (("a forest", "the forest", "a pine forest"), ("forest", "pine forest")),
    "meadow": (("a meadow", "a flower meadow", "a field of flowers"), ("meadow", "flowers")),
    "jungle": (("the jungle", "a jungle", "a tropical forest"), ("jungle", "tropical forest")),
    "snowfield": (
        ("a snowy field", "a snowy landscape", "a winter landscape"),
        ("snow", "winter landscape", "snowy landscape"),
    ),
    "canyon": (("a canyon", "the canyon", "red rock mesas"), ("canyon", "mesas")),
    "volcano": (("a volcano", "an erupting volcano", "the volcano"), ("volcano", "lava")),
    "waterfall": (("a waterfall", "the waterfall"), ("waterfall",)),
    "road": (("a road", "a long road", "a road to the horizon"), ("road", "empty road")),
    "village": (("a village", "a small village", "the village"), ("village", "small houses")),
    "city": (("a city", "the city", "a city skyline"), ("city", "city skyline", "skyscrapers")),
    "sea": (("the sea", "the ocean", "a calm sea"), ("sea", "ocean")),
    "beach": (("a beach", "the beach", "a sandy beach"), ("beach", "sandy beach")),
    "lake": (("a lake", "a mountain lake", "the lake"), ("lake", "mountain lake")),
    "islands": (
        ("a tropical island", "an island with palm trees"),
        ("tropical island", "palm trees"),
    ),
    "underwater": (
        ("the sea floor", "an underwater world", "the ocean depths"),
        ("underwater", "under the sea"),
    ),
    "space": (("outer space", "space"), ("space", "planets", "stars")),
    "mushrooms": (
        ("glowing mushrooms", "giant glowing mushrooms", "luminous mushrooms"),
        ("glowing mushrooms", "giant mushrooms"),
    ),
    "flowers": (("glowing flowers", "a field of glowing flowers"), ("glowing flowers",)),
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
}
ABOVE = ("over", "above", "flying over")
SEASONS = {
    "spring": "in spring",
    "summer": "in summer",
    "autumn": "in autumn",
    "winter": "in winter",
}
SNOW_ADJECTIVE = ("mountains", "hills", "forest", "river", "road", "village", "waterfall")
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
NUMBERS = {2: ("two", "2", "a pair of"), 3: ("three", "3")}
TEMPLATES: dict[str, tuple[str, ...]] = {
    "thing": (
        "{a_thing}",
        "{a_thing}",
        "{thing}",
        "{a_thing} {on_back}",
        "{a_thing} {on_back}",
        "{style} of {a_thing}",
        "{a_thing}, {style}",
        "{a_style} of {a_thing} {on_back}",
        "a picture of {a_thing}",
        "{thing}, {back_tag}",
        "{a_thing} {on_back}, {style}",
        "{thing} {style}",
        "a drawing of {a_thing}",
        "{thing} icon",
        "{a_nice_thing}",
        "{a_nice_thing} {on_back}",
        "just {a_thing}",
        "{a_thing}. {back_sentence}",
    ),
    "landscape": (
        "{terrain} {when}",
        "{terrain} {when}",
        "{terrain} {when} {weather}",
        "a {praise} {time_noun} over {terrain}",
        "{time_noun} over {terrain}",
        "a {praise} landscape with {terrain} {when}",
        "{tag}, {time_noun}",
        "{tag}, {time_noun}, {weather_tag}, {style}",
        "{tag}, {time_noun}, {style}",
        "{style} of {terrain} {when}",
        "{terrain} {when}, {style}",
        "{tag} {when}",
        "{terrain} {season} {when}",
        "{terrain} {weather}",
        "a landscape with {terrain} {season}",
        "a {praise} view of {terrain} {when} {weather}",
        "{time_noun}, {tag}",
        "{terrain} {when}. {light_sentence}",
        "a {praise} picture of {terrain} {weather} {when}",
        "{terrain} {season} {weather} {when}",
        "{terrain} {when} {light}",
        "a {praise} {time_noun} over {terrain} {weather}",
    ),
    "timeless": (
        "{terrain}",
        "{tag}",
        "{tag}, {style}",
        "{style} of {terrain}",
        "a {praise} view of {terrain}",
        "{terrain} {detail}",
        "{terrain} {detail}, {style}",
        "{tag} {detail}",
        "a picture of {terrain} {detail}",
    ),
    "mushrooms": (
        "a {dreamy} landscape with {terrain} {under}",
        "a {dreamy} landscape with {terrain} {under}",
        "{terrain} {under}",
        "{terrain} {when}",
        "{glow} {terrain} {when}",
        "{tag}, night, {style}",
        "a {dreamy} {glow} landscape of {terrain}",
        "{dreamy} {tag}, night sky",
        "{style} of {terrain} {under}",
        "{terrain} {weather} {when}",
        "{dreamy} night with {terrain}",
        "a {dreamy} night scene. {terrain} shine {light}.",
        "a field of {glow} {terrain} {under}",
        "{terrain} with {glow} light {under}",
    ),
    "mixed": (
        "{a_thing} {place} {when}",
        "{a_thing} {place} {when}",
        "{a_thing} {place}",
        "{a_thing} {place} {when} {weather}",
        "{thing}, {tag}, {time_noun}",
        "{style} of {a_thing} {place} {when}",
        "{a_thing} {place} {when}, {style}",
        "{a_thing} {when}",
        "{a_thing} {place} {weather}",
        "a {praise} landscape with {a_thing} {when}",
        "{a_thing} {place} {season}",
        "{terrain} {when} with {a_thing}",
        "{terrain} with {a_thing}",
        "{a_thing} {place} {when}. {light_sentence}",
        "{thing} {place} {when}",
        "a picture of {a_thing} {place} {weather} {when}",
    ),
}
HELD_OUT_TEMPLATES: dict[str, tuple[str, ...]] = {
    "thing": (
        "show me {a_thing}",
        "one big {thing} {on_back}",
        "{a_thing} in the centre, {back_tag}",
    ),
    "landscape": (
        "looking out at {terrain} {when}",
        "a scene of {terrain} {when} {weather}",
        "{praise} scenery, {tag} {when}",
    ),
    "timeless": ("a scene of {terrain}", "show me {terrain}"),
    "mushrooms": ("a {dreamy} world of {terrain} {under}", "looking out at {terrain} {when}"),
    "mixed": (
        "show me {a_thing} {place} {when}",
        "look, {a_thing} {place} {when}",
        "a scene with {a_thing} {place}",
    ),
}
