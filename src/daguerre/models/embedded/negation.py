"""Objects that a prompt names in order to leave them out: "no cars", "a cat without a hat"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile

from daguerre.models.embedded.count_binding import NUMBERS
from daguerre.models.embedded.mentions import (
    Mention,
    find_mentions,
    is_adjective,
    named_words,
    plain,
    word_spans,
    words_of,
)

_NEGATIONS = frozenset("no not without neither nor never don't doesn't isn't aren't".split())
_PHRASES = frozenset(
    ("instead of", "rather than", "other than", "devoid of", "free of", "empty of", "anything but")
)
_DETERMINERS = frozenset("a an the any even his her its their my your our".split())
# What follows a negation that leaves nothing out: "no more than two cats", "no ordinary cat".
_ENDS = frozenset(
    "only than but just merely simply so very too longer doubt wonder unlike ordinary mere common"
    " average typical regular normal nonsense like".split()
)
_JOINTS = ("or", "nor")
_MAX_BETWEEN = 3  # words between the negation and its object
_BEFORE = frozenset("with and but , ;".split())  # before a negation, and a part of it
_AFFIRMING = _NEGATIONS | {"a", "an", "the", "why", "if"}  # "never without", "a not so big dog"
_BARE = frozenset("not never isn't aren't".split())  # before an adjective: "a red and not blue car"
_AUXILIARIES = frozenset("do does did can could will would should must may might".split())
# Verbs of what a picture shows: "don't draw dogs", but not "a mouse that doesn't see the cat".
_VERBS = frozenset(
    "draw paint show include add want need use make put have contain depict display feature wear"
    " hold carry drawing showing including having containing wearing holding carrying".split()
)


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
            before = words[first - 1] if first else ""
            if before in _AFFIRMING or not _is_reached(words[i], before, words[i + 1 : start]):
                return None
            while first > 0 and words[first - 1] in _BEFORE:
                first -= 1
            return first
        is_between = words[i] in _DETERMINERS or is_adjective(words[i])
        if i in named or words[i] in _ENDS or not is_between:
            return None
    return None


def _is_reached(negation: str, before: str, between: Sequence[str]) -> bool:
    """Whether the words between a negation and an object are a verb and a description at most."""
    verb, rest = between[:1], list(between)
    if negation in ("don't", "doesn't") or before in _AUXILIARIES:
        if _VERBS.isdisjoint(verb):
            return False
        rest = rest[1:]
    elif negation in _BARE and not _VERBS.isdisjoint(verb):
        rest = rest[1:]
    elif negation in _BARE and verb and not (verb[0] in _DETERMINERS or verb[0].endswith("ing")):
        return False
    if negation in ("no", *_BARE) and not NUMBERS.isdisjoint(rest):
        return False
    adjectives = list(dropwhile(_DETERMINERS.__contains__, rest))
    is_description = _DETERMINERS.isdisjoint(adjectives)
    return is_description and not any(word.endswith("ing") for word in adjectives[1:])
