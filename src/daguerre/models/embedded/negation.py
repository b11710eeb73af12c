"""Objects that a prompt names in order to leave them out: "no cars", "a cat without a hat"."""

from __future__ import annotations

from collections.abc import Sequence

from daguerre.models.embedded.mentions import Mention, is_adjective, named_words

_NEGATIONS = frozenset("no not without neither nor never don't doesn't isn't aren't except".split())
_PHRASES = frozenset(
    ("instead of", "rather than", "other than", "devoid of", "free of", "except for")
    + ("empty of", "everything but", "anything but")
)
_DETERMINERS = frozenset("a an the any".split())
_ENDS = frozenset("only than but".split())  # "no more than two cats"
_JOINTS = ("or", "nor")
_MAX_BETWEEN = 3  # words between the negation and its object


def negated(words: Sequence[str], mentions: Sequence[Mention]) -> frozenset[Mention]:
    """The mentions that the prompt negates; "or" continues a negation."""
    named = named_words(mentions)
    found: set[Mention] = set()
    before: Mention | None = None
    for mention in mentions:
        is_continued = before in found and before is not None and _is_joined(words, before, mention)
        if is_continued or _is_negated(words, mention.start, named):
            found.add(mention)
        before = mention
    return frozenset(found)


def _is_joined(words: Sequence[str], first: Mention, second: Mention) -> bool:
    between = words[first.end : min(second.start, first.end + _MAX_BETWEEN)]
    return bool(between) and between[0] in _JOINTS


def _is_negated(words: Sequence[str], start: int, named: set[int]) -> bool:
    for i in range(start - 1, max(-1, start - 2 - _MAX_BETWEEN), -1):
        if words[i] in _NEGATIONS or " ".join(words[max(0, i - 1) : i + 1]) in _PHRASES:
            return True
        is_between = words[i] in _DETERMINERS or is_adjective(words[i])
        if i in named or words[i] in _ENDS or not is_between:
            return False
    return False
