"""Words for hours and weather in captions."""

from __future__ import annotations

TIME_PHRASES = {
    "dawn": (
        *("at dawn", "at sunrise", "in the early morning", "in the morning light"),
        *("in the morning", "at daybreak", "at first light", "as the sun rises"),
    ),
    "day": (
        *("by day", "during the day", "in daylight", "in the daytime"),
        *("at noon", "at midday", "in the afternoon", "in broad daylight"),
    ),
    "sunset": (
        *("at sunset", "at sunset", "at sunset", "during sunset", "at golden hour"),
        *("in the sunset light", "at sundown", "as the sun sets", "in the golden hour"),
    ),
    "dusk": (
        *("at dusk", "at twilight", "in the evening", "after sunset"),
        *("at nightfall", "in the blue hour", "late in the evening", "in the twilight"),
    ),
    "night": (
        *("at night", "at night", "at night", "by night", "under a night sky"),
        *("under the night sky", "at midnight", "late at night", "in the middle of the night"),
    ),
}
TIME_NOUNS = {
    "dawn": ("sunrise", "dawn", "morning"),
    "day": ("blue sky", "bright day"),
    "sunset": ("sunset", "sunset", "sunset", "golden hour"),
    "dusk": ("dusk", "twilight"),
    "night": ("night", "night sky"),
}
LIGHT_SENTENCES: dict[str, tuple[str, ...]] = {
    "sunset": ("The sky is orange and warm.", "Warm light fills the sky."),
    "night": ("The sky is dark.", "It is a quiet night."),
    "dawn": ("A new day begins.", "The light is soft."),
    "dusk": ("The evening sky is purple.", "The light fades."),
    "day": ("It is daytime.", "The day is bright."),
    "": ("",),
}
WEATHER_PHRASES: dict[str, tuple[str, ...]] = {
    "cloudy": (
        *("under a cloudy sky", "with clouds", "in cloudy weather", "under a grey sky"),
        *("under an overcast sky", "with a cloudy sky"),
    ),
    "rain": (
        *("in the rain", "in the rain", "in the rain", "with rain falling", "in rainy weather"),
        *("in heavy rain", "in the pouring rain", "while it rains", "when it is raining"),
    ),
    "snow": (
        *("in the snow", "in the snow", "in the snow", "with falling snow", "while it snows"),
        *("in a snowstorm", "in snowy weather", "when it is snowing", "with snow falling"),
    ),
    "fog": (
        *("in the fog", "in the mist", "with fog", "in foggy weather", "in a thick fog"),
        *("shrouded in mist", "in the morning mist"),
    ),
    "rainbow": (
        *("with a rainbow", "under a rainbow", "with a rainbow in the sky"),
        *("and a rainbow", "beneath a rainbow", "with a rainbow above"),
    ),
    "storm": (
        *("in a thunderstorm", "with lightning", "during a storm", "with a lightning bolt"),
        *("in a storm", "in stormy weather", "during a thunderstorm", "with lightning in the sky"),
    ),
    "aurora": (
        *("under the northern lights", "with an aurora", "under the aurora"),
        *("with northern lights", "under an aurora", "with the aurora borealis"),
    ),
    "clear": ("", "", "", "with a clear sky", "under a clear sky"),
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
# Before the noun for a landscape or for a time of day.
WEATHER_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "cloudy": ("cloudy", "overcast"),
    "rain": ("rainy", "rainy", "wet"),
    "snow": ("snowy",),
    "fog": ("foggy", "misty"),
    "storm": ("stormy",),
}
# What follows "on a rainy"; a sunset is on a day.
TIME_OF_DAY = {
    "dawn": "morning",
    "day": "day",
    "sunset": "day",
    "dusk": "evening",
    "night": "night",
}
