"""Tags of style that have the name of an object: "a dog, substance painter, phone wallpaper".

A tag is the text between two punctuation marks, after the first one with an object. It names no
object of the picture if it is a tool or medium of art, a symbol, a title ("lord of the rings"), or
if more of a name follows the object's.
"""

from __future__ import annotations

from collections.abc import Sequence

from daguerre.models.embedded.count_binding import ARTICLES, NUMBERS
from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.mentions import SPELLINGS, Mention, find_mentions

_MARKS = frozenset(",.;:!?|-()[]/")
# Words of a tag that describes the picture.
_CONTENT = frozenset(
    "with without on in under near next behind beside above below over around at by from between"
    " holding wearing riding carrying is are has some many several big tiny giant huge".split()
).union(ARTICLES, NUMBERS, SPELLINGS)
_TOOLS = frozenset(
    "painter artist illustrator designer sculptor photographer animator blender rhino camera pencil"
    " pencils pen pens crayon crayons brush paintbrush paintbrushes marker markers".split()
)
# Media, after another word that is not a colour: "comic book", "canvas print".
_MEDIA = frozenset(
    "book books card cards poster movie game games film paper canvas frame print stamp magazine"
    " newspaper comic palette easel television tv monitor screen computer scroll box leaf light"
    " lights lamp engine shell wand scale".split()
)
_QUANTITIES = frozenset("lots full pile bunch group row pair field sky stack bowl number".split())


def without_style_tags(words: Sequence[str]) -> list[str]:
    """The words without such tags; their punctuation marks stay."""
    mentions = list(find_mentions(words))
    kept: list[str] = []
    is_later = False
    for start, end in tags_of(words):
        own = [m for m in mentions if start <= m.start < end]
        if not (is_later and own and _is_style(words[start:end], own, start)):
            kept += words[start:end]
        is_later = is_later or bool(own)
        kept += words[end : end + 1]
    return kept


def tags_of(words: Sequence[str]) -> list[tuple[int, int]]:
    """The ranges between punctuation marks."""
    marks = [i for i, word in enumerate(words) if word in _MARKS]
    return list(zip((0, *(i + 1 for i in marks)), (*marks, len(words)), strict=True))


def _is_style(tag: Sequence[str], mentions: Sequence[Mention], start: int) -> bool:
    last = mentions[-1]
    before = [word for word in tag[: last.start - start] if word != "the"]
    if len(mentions) == 1 and before[1:] and before[-1] == "of" and before[-2] not in _QUANTITIES:
        return True  # "lord of the rings"
    if any(word.endswith("detailed") for word in tag):
        return True
    if not _CONTENT.isdisjoint(tag):
        return False
    after = tag[last.end - start :]
    if after:  # "phone wallpaper", but not "trees everywhere" or "moon rising"
        phrase = " ".join(tag[last.start - start : last.end - start])
        return not things.plural_meanings(phrase) and not after[0].endswith(("ing", "ed", "ly"))
    is_symbol = all(things.RARE & {*things.BY_NAME[name].tags} for name in last.names)
    return tag[-1] in _TOOLS or is_symbol or (len(before) > 0 and tag[-1] in _MEDIA)
