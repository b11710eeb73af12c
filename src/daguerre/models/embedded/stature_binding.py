"""Reads the sizes that a prompt states of several objects: "a tiny mouse and a giant elephant"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from daguerre.models.embedded.count_binding import phrase_start
from daguerre.models.embedded.mentions import Mention, is_complete, named_words

_WORDS = {
    word: stature
    for stature, words in {
        "tiny": "tiny teeny miniature minuscule",
        "small": "small little",
        "big": "big large",
        "giant": "giant huge enormous gigantic massive colossal humongous oversized",
    }.items()
    for word in words.split()
}
# Names of kinds with a size, such as the giant panda.
_KINDS = frozenset("panda squid tortoise salamander ben bang dipper toe".split())


def bound_statures(
    words: Sequence[str], mentions: Sequence[Mention]
) -> Mapping[str, Collection[str]]:
    """Object -> its stature, of at least two objects; none if its mentions differ."""
    if len(mentions) < 2:
        return {}
    named = named_words(mentions)
    found: dict[str, set[str]] = {}
    for mention in mentions:
        start = phrase_start(words, mention, named)
        before = words[start : mention.start]
        statures = {_WORDS[word] for word in before if word in _WORDS}
        if "very" in words[max(0, start - 1) : mention.start] and statures == {"small"}:
            statures = {"tiny"}
        is_kind = not is_complete(words, mention) or not _KINDS.isdisjoint(
            words[mention.start : mention.end]
        )
        for name in mention.names:
            found.setdefault(name, set()).update(() if is_kind else statures)
    return {name: frozenset(one) for name, one in found.items() if len(one) == 1}
