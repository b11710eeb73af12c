"""Objects that a prompt names in order to leave them out: "no cars", "a cat without a hat"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daguerre.models.embedded.mentions import (
    Mention,
    find_mentions,
    is_adjective,
    named_words,
    plain,
    word_spans,
    words_of,
)

_NEGATIONS = frozenset("no not without neither nor never don't doesn't isn't aren't except".split())
_PHRASES = frozenset(
    ("instead of", "rather than", "other than", "devoid of", "free of", "except for")
    + ("empty of", "everything but", "anything but")
)
_DETERMINERS = frozenset("a an the any".split())
_ENDS = frozenset("only than but".split())  # "no more than two cats"
_JOINTS = ("or", "nor")
_MAX_BETWEEN = 3  # words between the negation and its object


_BEFORE = frozenset("with and but , ;".split())  # before a negation, and a part of it


@dataclass(frozen=True)
class Affirmed:
    """What a prompt asks for, without negated objects, and the names that it only negates."""

    prompt: str
    absent: str


def affirmed(prompt: str) -> Affirmed:
    """Leaves out negations of objects; a prompt with nothing else stays as it is."""
    words = words_of(prompt)
    mentions = list(find_mentions(words))
    absent = _negations(words, mentions)
    if not absent:
        return Affirmed(prompt, "")
    shown = frozenset().union(*(m.names for m in mentions if m not in absent))
    only = [m for m in absent if shown.isdisjoint(m.names)]
    names = ", ".join(" ".join(words[m.start : m.end]) for m in only)
    text, spans = plain(prompt), word_spans(plain(prompt))
    for mention, start in reversed(absent.items()):
        text = text[: spans[start][0]] + text[spans[mention.end - 1][1] :]
    return Affirmed(text if any(map(str.isalnum, text)) else prompt, names)


def negated(words: Sequence[str], mentions: Sequence[Mention]) -> frozenset[Mention]:
    """The mentions that the prompt negates; "or" continues a negation."""
    return frozenset(_negations(words, mentions))


def _negations(words: Sequence[str], mentions: Sequence[Mention]) -> dict[Mention, int]:
    """The negated mentions, in order, and where the words of each negation start."""
    named = named_words(mentions)
    found: dict[Mention, int] = {}
    before: Mention | None = None
    for mention in mentions:
        start = _start(words, mention.start, named)
        if before in found and before is not None and _is_joined(words, before, mention):
            start = before.end
        if start is not None:
            found[mention] = start
        before = mention
    return found


def _is_joined(words: Sequence[str], first: Mention, second: Mention) -> bool:
    between = words[first.end : min(second.start, first.end + _MAX_BETWEEN)]
    return bool(between) and between[0] in _JOINTS


def _start(words: Sequence[str], start: int, named: set[int]) -> int | None:
    """Where the negation of an object begins that is named at `start`; None without one."""
    for i in range(start - 1, max(-1, start - 2 - _MAX_BETWEEN), -1):
        is_phrase = " ".join(words[max(0, i - 1) : i + 1]) in _PHRASES
        if is_phrase or words[i] in _NEGATIONS:
            first = i - is_phrase
            while first > 0 and words[first - 1] in _BEFORE:
                first -= 1
            return first
        is_between = words[i] in _DETERMINERS or is_adjective(words[i])
        if i in named or words[i] in _ENDS or not is_between:
            return None
    return None
