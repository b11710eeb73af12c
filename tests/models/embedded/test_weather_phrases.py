"""The weather that a prompt states."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.weather_phrases import stated_weather


@pytest.mark.parametrize(
    ("prompt", "weather"),
    [
        ("an elephant in the rain", "rain"),
        ("A girl with an umbrella, in the pouring rain", "rain"),
        ("a fox in the snow", "snow"),
        ("a dog in deep snow at night", "snow"),
        ("It's snowing on a small village", "snow"),
        ("a ship in a storm", "storm"),
        ("a street on a foggy night", "fog"),
        ("two people  during a\nthunderstorm", "storm"),
        ("a man in a rain jacket", ""),
        ("a cabin in a snow globe", ""),
        ("a girl on a snowy day", "snow"),
        ("a wolf in a heavy snow storm", "snow"),
        ("a man without an umbrella in the rain", "rain"),
        ("a dog, not in the rain but in the snow", "snow"),
        ("a parrot in the rain forest", ""),
        ("a dancer in a storm of petals", ""),
        ("a cat, not in the rain", ""),
        ("a cat, not sitting in the rain", ""),
        ("a cat, not in the rain or in the snow", ""),
        ("a rainbow over hills", ""),
        ("a snowman", ""),
        ("in the rain or in the snow", ""),
        ("", ""),
    ],
)
def test_phrases(prompt: str, weather: str) -> None:
    """Phrases of one kind of weather count; negated ones and names with its word do not."""
    assert stated_weather(prompt).get("weather", "") == weather


def test_excluded_weather_is_not_stated() -> None:
    """A negative prompt comes first."""
    assert stated_weather("a cat in the rain", {"rain"}) == {}
