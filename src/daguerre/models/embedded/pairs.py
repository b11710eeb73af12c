"""Two objects of one name in a prompt: "a cow and her calf" is read as "two cows".

A scene has each object once, with a count.
"""

from __future__ import annotations

from collections.abc import Sequence

from daguerre.models.embedded.count_binding import ARTICLES
from daguerre.models.embedded.drawing.plurals import plural
from daguerre.models.embedded.mentions import name_at, plain, word_spans

_SECOND = frozenset("her his its their another a an one".split())
_SIZES = frozenset("little small young tiny own".split())


def with_pairs(prompt: str) -> str:
    """The prompt with a number in place of the first such pair, in lower case if there is one."""
    text = plain(prompt)
    spans = word_spans(text)
    words = [text[start:end] for start, end in spans]
    for start in range(len(words)):
        end, noun = _pair(words, start)
        if noun:
            return f"{text[: spans[start][0]]}two {plural(noun)}{text[spans[end - 1][1] :]}"
    return prompt


def _pair(words: Sequence[str], start: int) -> tuple[int, str]:
    """The end of the pair whose article is at `start`, and the noun; 0 without one."""
    if words[start] not in ARTICLES:
        return 0, ""
    first = start + 1
    length, names = name_at(words, first) if first < len(words) else (0, frozenset())
    second = first + length + 2
    if not names or [*words[second - 2 : second - 1]] != ["and"] or second >= len(words):
        return 0, ""
    if words[second - 1] not in _SECOND:
        return 0, ""
    second += words[second] in _SIZES and second + 1 < len(words)
    other_length, other_names = name_at(words, second)
    if names.isdisjoint(other_names):
        return 0, ""
    return second + other_length, " ".join(words[first : first + length])
