"""Phrases of style in a prompt: "shot on a gopro", "in the style of a comic studio".

The picture does not show the objects that they name.
"""

from __future__ import annotations

from collections.abc import Sequence

from daguerre.models.embedded.mentions import words_of

_PHRASES = frozenset(
    ("shot on", "shot with", "filmed on", "filmed with", "taken with", "captured on")
    + ("captured with", "rendered in", "rendered with", "rendered by", "made in", "trending on")
    + ("featured on", "published in", "inspired by", "painted by", "drawn by", "photographed by")
    + ("art by", "the style")
)
_ENDS = frozenset(",.;:!?")
_MAX_WORDS = 12  # of a phrase
# More of the picture may follow these; then the end of the phrase is unknown.
_MORE = frozenset(
    "and with without near next beside behind under over above below between holding riding".split()
)


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


def _end(words: Sequence[str], start: int) -> int:
    """The end of the phrase at `start`, or `start` if there is none."""
    first = start + 1 if words[start] == "in" else start
    if " ".join(words[first : first + 2]) not in _PHRASES:
        return start
    end = first + 2
    while end < len(words) and words[end] not in _ENDS:
        if words[end] in _MORE or end - first == _MAX_WORDS:
            return start
        end += 1
    return end
