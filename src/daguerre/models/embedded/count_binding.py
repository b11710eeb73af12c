"""Reads how many of an object a prompt states: "a cat", "three dogs", "a dozen roses", "tulips"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.plurals import SAME
from daguerre.models.embedded.mentions import Mention, is_adjective, is_complete, named_words

Counts = frozenset[str]
ARTICLES = ("a", "an", "the", "one")
_SMALL = {
    word: str(number)
    for number, words in enumerate("two 2,three 3,four 4,five 5,six 6,seven 7".split(","), 2)
    for word in words.split()
}
_ONE, _SEVERAL = frozenset({"1"}), frozenset(_SMALL.values())
_MOST = frozenset({"7"})  # of a scene, and in place of larger numbers
_LARGE = frozenset(
    "eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    " twenty thirty forty fifty sixty seventy eighty ninety dozen hundred thousand million".split()
).union(map(str, range(8, 1000)))
NUMBERS = _SMALL.keys() | _LARGE
_PHRASES = {("a", "pair", "of"): "2", ("a", "couple", "of"): "2", ("half", "a", "dozen"): "6"}
_UNITS = frozenset(  # "two dozen eggs", "two door cars"
    "billion tone door year foot inch story storey star seat seater piece way lane wheel bedroom"
    " tier layer string stroke cylinder pound dollar hour day week month speed poster gallon course"
    " ton carat mile".split()
)
# Before a number that counts nothing: "chapter three".
_NO_COUNTS = frozenset(
    "chapter figure part year volume episode level number version windows iphone room age aged gate"
    " route platform season than least most".split()
)
_NO_COUNT = (("up", "to"), ("out", "of"))
_TO = ("or", "to", "and")  # between the ends of a range
_MAX_ADJECTIVES = 2


def phrase_start(words: Sequence[str], mention: Mention, named: Collection[int]) -> int:
    """The index of the first adjective before a mention, after its article or number."""
    start = mention.start
    while start > max(0, mention.start - _MAX_ADJECTIVES):
        word = words[start - 1]
        is_determiner = word in ARTICLES or word in NUMBERS
        is_verb = word.endswith("ing") and start - 2 in named  # "a monkey eating bananas"
        if start - 1 in named or is_determiner or is_verb or not is_adjective(word):
            break
        start -= 1
    return start


def bound_counts(words: Sequence[str], mentions: Sequence[Mention]) -> Mapping[str, Counts]:
    """Object -> its possible counts; an object is missing if its count is not certain."""
    named = named_words(mentions)
    found: dict[str, set[Counts]] = {}
    for mention in mentions:
        start = phrase_start(words, mention, named)
        phrase = " ".join(words[mention.start : mention.end])
        plural = things.plural_meanings(phrase)
        own = things.exact_meanings(phrase)  # "cherries", "people"
        for name in mention.names:
            counts = _counts(words, mention, start, name in plural)
            counts = Counts() if counts == _SEVERAL and name in own else counts
            found.setdefault(name, set()).add(counts)
    return {name: counts for name, said in found.items() if (counts := _certain(said))}


def _certain(said: Collection[Counts]) -> Counts:
    """The counts that all mentions of an object permit; none if one of them is of one object."""
    if _ONE in said:
        return _ONE if len(said) == 1 else Counts()
    stated = [counts for counts in said if counts]
    return _SEVERAL.intersection(*stated) if stated else Counts()


def _counts(words: Sequence[str], mention: Mention, start: int, is_plural: bool) -> Counts:
    """The counts that one mention permits; none if it leaves them open."""
    before = [*("", "", ""), *words[:start]][-3:]
    if not _UNITS.isdisjoint(words[start : mention.start]):
        return Counts()
    is_same = words[mention.end - 1] in SAME
    if is_plural and not (is_same and before[-1] in ARTICLES):
        return _number(before) or (Counts() if is_same else _SEVERAL)
    is_one = before[-1] in ARTICLES and not (is_same and before[-1] == "the")
    return _ONE if is_one and is_complete(words, mention) else Counts()


def _number(before: Sequence[str]) -> Counts:
    """The number in the three words before a plural; none if they count something else."""
    third, second, first = before
    if number := _PHRASES.get((third, second, first)):
        return frozenset({number})
    if first not in NUMBERS or second in _NO_COUNTS:
        return Counts()
    is_part = second in (".", ":", "/") and third.isdecimal()  # as in "2.5"
    if is_part or (third, second) in _NO_COUNT or (second == "of" and third in (*NUMBERS, "one")):
        return Counts()
    least = _SMALL.get(third if second in _TO else second)  # "two or three dogs", "3-4 dogs"
    if least and least < _SMALL.get(first, ""):
        return frozenset(filter(lambda number: least <= number <= _SMALL[first], _SEVERAL))
    return frozenset({_SMALL[first]}) if first in _SMALL and second not in NUMBERS else _MOST
