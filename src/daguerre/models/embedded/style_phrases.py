"""Phrases of style in a prompt: "shot on a gopro", "in the style of a comic studio".

The picture does not show the objects that they name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from daguerre.models.embedded.mentions import words_of

_PHRASES = frozenset(
    ("shot on", "shot with", "filmed on", "filmed with", "taken with", "captured on")
    + ("captured with", "rendered in", "rendered with", "rendered by", "made in", "trending on")
    + ("featured on", "published in", "inspired by", "painted by", "drawn by", "photographed by")
    + ("art by", "the style", "the manner", "the spirit", "the tradition", "as seen", "seen on")
    + ("drawn with", "painted with", "sketched with", "coloured with", "colored with")
)
_SHOWS = frozenset("movie film series show game cartoon anime documentary".split())
_PUBLISHED = frozenset(
    "featured published exhibited commissioned designed created produced scanned submitted posted"
    " shared photographed illustrated sketched".split()
)
_PREPOSITIONS = ("in", "on", "at", "by", "for", "from", "to")
_ENDS = frozenset(",.;:!?")
_MAX_WORDS = 12  # of a phrase
# More of the picture may follow these; then the end of the phrase is unknown.
_MORE = frozenset(
    "and with without near next beside behind under over above below between holding riding".split()
)
# The first words of a clause about an object: "that belongs to my uncle", "my sister saw".
_PRONOUNS = frozenset(
    "i we he she they my our your his her their no everyone everybody someone".split()
)
_RELATIVES = ("that", "which", "who", "whom")
_SORTS = (["kind"], ["sort"], ["type"], ["one"])
_VERBS = frozenset("belongs belonged reminds looks feels comes came was were used once".split())
# These eras are no sepia pictures: "retro 80s synthwave".
_NOT_VINTAGE = frozenset("synthwave vaporwave outrun cyberpunk futuristic neon 80s 90s y2k".split())


def excluded_styles(prompt: str) -> frozenset[str]:
    """Styles that the network must not take "retro" for."""
    return frozenset() if _NOT_VINTAGE.isdisjoint(words_of(prompt)) else frozenset({"vintage"})


def without_style_phrases(words: Sequence[str]) -> list[str]:
    """The words without each phrase of style, up to the next punctuation mark."""
    kept: list[str] = []
    start = 0
    while start < len(words):
        end = _end(words, start)
        if end == start:
            kept.append(words[start])
            end += 1
        start = end
    return kept


def without_clauses(words: Sequence[str], ends: Collection[int]) -> list[str]:
    """The words without each clause that follows the object before one of `ends` directly."""
    kept: list[str] = []
    start = 0
    while start < len(words):
        if start in ends and _is_clause(words, start):
            ends_at = (i for i in range(start + 1, len(words)) if words[i] in _ENDS)
            start = next(ends_at, len(words))
        else:
            kept.append(words[start])
            start += 1
    return kept


def _is_clause(words: Sequence[str], start: int) -> bool:
    """True for "that I saw", ", the kind my aunt loves", "that looks"; false for "that holds"."""
    if [*words[start : start + 2]] == [",", "the"] and words[start + 2 : start + 3] in _SORTS:
        return _is_clause(words, start + 3) if start + 3 < len(words) else False
    is_relative = words[start] in _RELATIVES
    first, *after = (*words[start + is_relative :], "", "")
    is_other = first in _VERBS and after[0] not in ("at", "in") and not after[0].endswith("ing")
    return first in _PRONOUNS or (is_relative and is_other)


def _end(words: Sequence[str], start: int) -> int:
    """The end of the phrase at `start`, or `start` if there is none."""
    if words[start : start + 2] in (["from", "a"], ["from", "an"], ["from", "the"]):
        shows = (i for i in range(start, min(start + 6, len(words))) if words[i] in _SHOWS)
        return next(shows, start - 1) + 1
    first = start + 1 if words[start] == "in" else start
    verb, preposition = (*words[first : first + 2], "", "")[:2]
    is_published = verb in _PUBLISHED and preposition in _PREPOSITIONS
    if not is_published and f"{verb} {preposition}" not in _PHRASES:
        return start
    end = first + 2
    while end < len(words) and words[end] not in _ENDS:
        if words[end] in _MORE or end - first == _MAX_WORDS:
            return start
        end += 1
    return end
