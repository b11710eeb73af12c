"""Names of objects in a prompt, and the words around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.recolouring import COLOURS

# Colour word -> the colour that it means.
SPELLINGS = {**{colour: colour for colour in COLOURS}, "grey": "gray", "violet": "purple"}
_GROUNDS = frozenset("background wall sky".split())  # they can have a colour, and are no objects
# Words that end the description of an object; so do participles, other objects and punctuation.
_BREAKS = frozenset(
    "a an the and or with without on in of at by to over under near beside between behind before"
    " next left right above below from for into is are it its his her their this that these those"
    " no".split()
).union(_GROUNDS)
# Names of something else that contain the name of an object, or of a kind of one.
OTHER_NAMES = frozenset(
    (
        "van gogh,star wars,star trek,rock band,rock star,rock music,rock concert,movie star,"
        "pop star,bird's eye,birds eye,worm's eye,worms eye,fish eye,rose gold,red bull,fan art,"
        "night club,golf club,book club,stork club,river bank,water tank,gas tank,wax seal,"
        "lion king,burger king,dairy queen,pizza hut,rolling stones,ryan gosling,chris pine,"
        "emma stone,sharon stone,elijah wood,kate bush,bear grylls,tiger woods,"
        "meteor shower,baby shower,bridal shower,fly fishing,masquerade ball,costume ball,"
        "dragon ball,demon slayer,cat ears,cat eye,cat eyes,"
        "bunny ears,fox ears,wolf ears,pig tails,monkey bars,pine cone,pine cones,pine nuts,"
        "pine needles,lily pad,lily pads,cape cod,pike place,abbey road,bourbon street,"
        "antelope canyon,calf length,calf muscle,calf muscles,saber tooth,saber toothed,"
        "sabre tooth,sabre toothed,florence nightingale,peter griffin,john carpenter,coupe glass,"
        "iphone photo,iphone picture,iphone selfie,iphone camera,iphone wallpaper,iphone shot"
    ).split(",")
)
_PARTICIPLE = re.compile(r".+(?<!color)(?<!colour)ed")  # "red-haired woman": not a red woman
_NAMING = ("named", "called", "nicknamed")
# Words after a name that describe something else with it: "a star shaped cookie", "zebra print".
_LIKENESSES = frozenset(
    "shaped themed sized lined encrusted studded patterned drenched kissed print skin".split()
)
# Such words after a hyphen only: "a man-made lake", "a horse-drawn cart".
_SUFFIX = r"(?:made|drawn|like|filled|covered|lit|free|proof|powered|soaked|inspired)\b"
_HYPHEN = re.compile(rf"(?<=\w)-(?=\w)(?!{_SUFFIX})")
_SINGLE_QUOTED = re.compile(r"(?<![\w'])'([^\s'](?:[^']{0,60}[^\s'])?)'(?![\w'])")
_TOKEN = re.compile(rf"[a-z0-9']+(?:-{_SUFFIX})?|[^\s\w]")


@dataclass(frozen=True)
class Mention:
    """An object's name in a prompt: the range of its words, and the objects that have the name."""

    start: int
    end: int
    names: frozenset[str]


def words_of(prompt: str) -> list[str]:
    """The words and punctuation marks of a plain prompt in lower case, without hyphens in words.

    Those of descriptions stay: "man-made".
    """
    return _TOKEN.findall(plain(prompt))


def plain(prompt: str) -> str:
    """The prompt in lower case, without hyphens in words, except before such a suffix."""
    return _HYPHEN.sub(" ", _SINGLE_QUOTED.sub(r'"\1"', prompt.lower()))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of a text from `plain`."""
    return [match.span() for match in _TOKEN.finditer(text)]


def find_mentions(words: Sequence[str]) -> Iterator[Mention]:
    """The longest names of objects, from left to right; colours before objects are excluded."""
    start = before = 0  # `before` is the end of the object before
    while start < len(words):
        if " ".join(words[start : start + 2]) in OTHER_NAMES:
            start += 2
            continue
        length, names = name_at(words, start)
        end = start + max(1, length)
        is_other = not _LIKENESSES.isdisjoint(words[end : end + 1])
        is_other = is_other or is_called(words[max(before, start - 3) : start])
        if names and not is_other and not (length == 1 and _is_colour(words, start)):
            yield Mention(start, end, names)
            before = end
        start = end


def is_called(between: Sequence[str]) -> bool:
    """Whether words after an object lead to its own name: "a dog named Bear"."""
    return 1 <= len(between) <= 2 and between[0] in _NAMING and between[-1] in (*_NAMING, '"')


def name_at(words: Sequence[str], start: int) -> tuple[int, frozenset[str]]:
    """The number of words of the longest name at `start`, and its objects; 0 without one."""
    longest = min(things.longest_name(words[start]), len(words) - start)
    for length in range(longest, 0, -1):
        if names := things.meanings(" ".join(words[start : start + length])):
            return length, names
    return 0, frozenset()


def _is_colour(words: Sequence[str], i: int) -> bool:
    """True for a colour before its noun, or of clothes: "an orange cat", "a girl in orange"."""
    before, after = words[max(0, i - 1) : i], "".join(words[i + 1 : i + 2])
    is_described = is_adjective(after) or after in _GROUNDS or before in (["in"], ["wearing"])
    return words[i] in SPELLINGS and is_described


def named_words(mentions: Iterable[Mention]) -> set[int]:
    """The indices of all words of the mentions."""
    return {i for mention in mentions for i in range(mention.start, mention.end)}


def is_adjective(word: str) -> bool:
    """True for any word that can stand between a colour, or a number, and its object."""
    is_description = (
        word.replace("-", "").isalpha() and word not in _BREAKS and not _PARTICIPLE.fullmatch(word)
    )
    return is_description or word in SPELLINGS


def is_complete(words: Sequence[str], mention: Mention) -> bool:
    """False if the next word may belong to the name: "a dog toy"."""
    after = words[mention.end : mention.end + 1]
    return not after or not is_adjective(after[0]) or after[0].endswith("ing")
