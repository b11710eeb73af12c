"""All rules on prompts together: no text makes a prompt unusable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daguerre.models.embedded.colour_binding import bound_colours
from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.fields import MAX_OBJECTS, SCENE_FIELDS
from daguerre.models.embedded.kinds import KINDS, with_known_names
from daguerre.models.embedded.mentions import SPELLINGS
from daguerre.models.embedded.negation import affirmed
from daguerre.models.embedded.negative_prompt import excluded_values
from daguerre.models.embedded.object_binding import bound_objects
from daguerre.models.embedded.place_phrases import excluded_terrains, stated_terrain
from daguerre.models.embedded.plain_text import plain_text
from daguerre.models.embedded.quoted_words import MAX_CHARACTERS, NOUNS, quoted_words
from daguerre.models.embedded.style_phrases import excluded_styles
from daguerre.models.embedded.weather_phrases import stated_weather
from daguerre.params import MAX_PROMPT_CODE_POINTS

WORDS = (
    "a an the one two three dozen 7 12 8k no not without neither nor don't except instead of than"
    " but and or with in on left right above holding wearing is red blue tiny huge very rain it's"
    " , . ; : ! ? - -- ' \" “ ” ‘ ’ « ( ) [ / | says reading sign ſign that snow style shot moon"
    " water dress hat"
).split()
NAMES = [*things.BY_NAME, *(word for words in KINDS.values() for word in words)]
PROMPTS = st.lists(
    st.sampled_from(WORDS) | st.sampled_from(NAMES) | st.text(max_size=4), max_size=14
).map(" ".join)


def read(prompt: str) -> tuple[object, ...]:
    """What the rules read in a prompt, in the order of `EmbeddedPipelines.pipeline`."""
    quoted = quoted_words(prompt)
    read, others = (with_known_names(plain_text(text)) for text in (quoted.prompt, quoted.others))
    wanted = affirmed(read)
    excluded = excluded_values(wanted.absent)
    names = excluded.get("name", frozenset())
    objects, colours = bound_objects(others, names), bound_colours(others)
    scene = {**stated_terrain(others), **stated_weather(others)}
    assert len(quoted.words) <= MAX_CHARACTERS
    assert quoted.surface in ("", *NOUNS)
    assert any(map(str.isalnum, wanted.prompt)) or not any(map(str.isalnum, read))
    assert len(objects.names) <= objects.max_number <= MAX_OBJECTS
    assert objects.said.isdisjoint(names)
    assert all(objects.names)
    assert {*colours.values()} <= {"", *SPELLINGS.values()}
    assert all(value in SCENE_FIELDS[field] for field, value in scene.items())
    assert all(
        value in SCENE_FIELDS[field]
        for field in excluded.keys() & SCENE_FIELDS.keys()
        for value in excluded[field]
    )
    return (
        quoted,
        wanted,
        objects,
        colours,
        scene,
        excluded_terrains(others),
        excluded_styles(others),
    )


@settings(max_examples=400, deadline=None)
@given(PROMPTS)
def test_any_prompt_is_read(prompt: str) -> None:
    """No rule fails; what they state is possible; forms of one text are read alike."""
    assert read(unicodedata.normalize("NFD", prompt)) == read(prompt)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a ", "!", "-", "a-", "(a cat) ", "\n", "\0", "'", '"', "'a ", "“", "«a", "🐱"),
        *("İ cat ", "ß", "\ufdfa", "\u200b", "\u202ecat\u202c ", "cat\u0301 ", "ｃａｔ　"),
        *(
            "no ",
            "no cat or ",
            "without ",
            "a cat and ",
            "two ",
            "in rain ",
            "great ",
            "lily of the ",
        ),
        *('"a" sign ', "a sign that says A ", "in the style of a ", f"no {', no '.join(NAMES)} "),
    ],
)
def test_long_prompts_are_read(text: str) -> None:
    read((text * MAX_PROMPT_CODE_POINTS)[:MAX_PROMPT_CODE_POINTS])
