"""Finds the words to draw in a prompt, and the surface to draw them on.

They are in quotation marks ('a sign that says "OPEN"'), or follow a surface and a verb ("a sign
that says hello", "a banner reading GO TEAM"). The text encoder reads a placeholder in their place,
because what a sign says is not what the picture shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from daguerre.models.embedded.drawing.letters import writable
from daguerre.models.embedded.mentions import SPELLINGS
from daguerre.models.embedded.plain_text import composed_text, plain_text

MAX_CHARACTERS = 80
PLACEHOLDER = '"words"'
# The nouns of each surface.
NOUNS: dict[str, tuple[str, ...]] = {
    "sign": (
        *("sign", "signs", "signpost", "signboard", "placard", "plaque", "board", "label"),
        *("nameplate", "license plate", "licence plate", "gravestone", "tombstone", "notice"),
    ),
    "banner": ("banner", "banners", "flag", "ribbon", "pennant", "streamer", "sash"),
    "shirt": (
        *("shirt", "t-shirt", "tshirt", "t shirt", "tee", "hoodie", "sweater", "sweatshirt"),
        *("jersey", "jumper", "apron"),
    ),
    "wall": ("wall", "walls", "graffiti", "mural", "bricks"),
    "book": ("book", "novel", "book cover", "diary", "notebook", "journal", "magazine", "album"),
    "cake": ("cake", "birthday cake", "wedding cake", "cupcake", "icing", "frosting"),
    "poster": (
        *("poster", "movie poster", "flyer", "print", "painting", "album cover", "advertisement"),
        *("logo", "sticker", "leaflet", "cover", "canvas", "picture frame", "badge"),
    ),
    "chalkboard": (
        "chalkboard",
        "blackboard",
        "whiteboard",
        "menu board",
        "school board",
        "chalkboard menu",
        "slate",
    ),
    "neon": (
        *("neon sign", "neon", "neon lights", "neon letters", "neon lettering", "led sign"),
        *("neon light", "neon text"),
    ),
    "storefront": (
        *("storefront", "shop", "shop front", "shopfront", "store", "bakery", "cafe", "café"),
        *("restaurant", "bookstore", "bookshop", "diner", "pub", "building", "hotel", "cinema"),
        *(
            "tavern",
            "inn",
            "barbershop",
            "pharmacy",
            "supermarket",
            "coffee shop",
            "boutique",
            "market stall",
            "kiosk",
        ),
    ),
    "bubble": (
        *("speech bubble", "thought bubble", "speech balloon", "bubble", "text bubble"),
        *("comic bubble", "caption"),
    ),
    "billboard": ("billboard", "billboards", "hoarding", "marquee", "road sign", "highway sign"),
    "paper": (
        *("paper", "note", "letter", "card", "greeting card", "birthday card", "envelope"),
        *("newspaper", "sticky note", "post-it", "postcard", "certificate", "ticket", "page"),
        *("invitation", "menu", "scroll", "receipt", "sheet", "business card", "list"),
    ),
    "screen": (
        *("screen", "monitor", "computer", "laptop", "phone", "tv", "television", "tablet"),
        *("display", "computer screen", "terminal", "smartphone"),
    ),
    "mug": ("mug", "cup", "coffee cup", "coffee mug", "bottle", "jar", "tin", "glass"),
}
_SURFACES = {noun: surface for surface, nouns in NOUNS.items() for noun in nouns}
_NOUN = "|".join(re.escape(noun) for noun in sorted(_SURFACES, key=len, reverse=True))
_SURFACE = re.compile(rf"(?<![\w-])(?:{_NOUN})(?![\w-])", re.IGNORECASE)
_QUOTED = re.compile(  # all lengths are bounded, so that the time is linear
    r"(?<![\w\"])\"(?=\S)([^\"]{1,200}?)(?<=\S)\"|(?<![\w”])”(?=\S)([^“”]{1,200}?)(?<=\S)”"
    r"|[“„]([^“”„]{1,200})[”“]|«([^«»]{1,200})»|‹([^‹›]{1,200})›|「([^「」]{1,200})」|『([^『』]{1,200})』"
    r"|(?<!\w)‘([^‘]{1,200}?)’(?!\w)"
    r"|(?<![\w'])'(?=[^\s'])((?:[^']|'(?=\w)){1,200}?)(?<=\S)'(?![\w'])"
)
_DOUBLE = dict.fromkeys(map(ord, "＂〝〞‟"), '"')
_SHORTENED = frozenset("n til tis twas em cause bout".split())  # as in "rock 'n' roll"
_SAYS = re.compile(
    r"(?:\b(?:says?|saying|said|reads?|reading|spells?|spelling|spelled|written|writing|painted"
    r"|printed|carved|engraved|embroidered|states?|stating|shows?|showing|displays?|displaying"
    r"|texts?|words?|letters|lettering|message|phrase|slogan|inscription|inscribed|label(?:l?ed)?"
    r"|name|number|quote|shouts?|shouting|asks?|asking|yells?|yelling|thinks?|thinking)\b)"
    r"\W*(?:\w+\W+){0,2}$",
    re.IGNORECASE,
)
_SPEAKS = re.compile(
    r"\b(?:says?|saying|shouts?|shouting|asks?|asking|yells?|yelling|whisper(?:s|ing)|thinks?"
    r"|thinking)\W*$",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\b(?:text|words?|letters|lettering|typography|font)\b", re.IGNORECASE)
_LEADS = re.compile(
    r"\W*(?:(?:please|can|could|you|i|want|draw|paint|make|create|generate|imagine|show|me|prompt|an?"
    r"|the|photo|photograph|picture|image|illustration|of)\W+){0,9}",
    re.IGNORECASE,
)
_DESCRIPTION = re.compile(r"(?:an?|two|three|four|five|six|seven|some)\s")
_WRITTEN = re.compile(
    r"\W*(?:is |are )?(?:written|painted|printed|carved|displayed|spelled)\b", re.IGNORECASE
)
_NAMED = re.compile(r"\b(?:named|called|nicknamed|titled|entitled|dubbed)\W*$", re.IGNORECASE)
_CITED = re.compile(
    r"\b(?:film|movie|song|game|series|show|anime|style of|manner of|by|from|like|known as"
    r"|so-called)\s*$",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"^\W*(?:is |are )?(?:(?:written|painted|printed|carved|displayed|spelled|shown|engraved)\b"
    r"|(?:on|across|above|over|in)\b)",
    re.IGNORECASE,
)
_WITHOUT_MARKS = re.compile(
    rf"(?<![\w-])(?:{_NOUN})\s{{1,3}}"
    r"(?:(?:that |which )?(?:says|saying|reads|reading|spelling|labell?ed)"
    r"|with the (?:words?|text|message|letters|inscription|slogan))\s{0,3}:?\s{1,3}(?=\w)",
    re.IGNORECASE,
)
_CAPITALS = re.compile(
    r"[A-Z0-9][A-Z0-9!?&'’.-]{0,40}(?:\s+[A-Z0-9&][A-Z0-9!?&'’.-]{0,40}){0,20}(?![a-z])"
)
_ENDS = frozenset(
    "in on at under with next beside near and while by over against during behind above below from"
    " inside that which hanging standing made surrounded as is are".split()
)
_MAX_UNMARKED = 5  # words without quotation marks
_USUAL = "sign"  # the surface if the prompt names none
_MAX_BETWEEN = 2  # words between a colour and its surface
_MAX_QUOTED = 8  # parts in quotation marks
_NEAR = 300  # characters around the words in which a surface or a verb is looked for
_MAX_APART = 8  # words between a surface and what is written on it


@dataclass(frozen=True)
class QuotedWords:
    """The words to draw, "" for none, and their surface, with its colour word.

    `prompt` has a placeholder for the words. `others` has one for the surface, too, because the
    surface is not an object.
    """

    words: str
    prompt: str
    others: str
    surface: str = ""
    colour: str = ""

    def excluded(self) -> Mapping[str, frozenset[str]]:
        """Values that the scene must not have: without words, nothing is lettered."""
        return {} if self.words else {"kind": frozenset({"lettering"})}

    def fields(self) -> Mapping[str, str]:
        """The fields of a scene that the words decide."""
        return {"lettering": self.surface, "lettering_colour": self.colour}


def quoted_words(prompt: str) -> QuotedWords:
    """The words to draw, and the prompt without them."""
    prompt = composed_text(prompt).translate(_DOUBLE)
    spans = [
        (found.start(), found.end(), next(group for group in found.groups() if group))
        for found in islice(_QUOTED.finditer(prompt), _MAX_QUOTED)
    ]
    spans = [span for span in spans if _is_drawn(prompt, *span)] or _without_marks(prompt)
    words = shortened(writable("\n".join(words for _, _, words in spans))) if spans else ""
    if not words:
        return QuotedWords("", prompt, prompt)
    edits = [(start, end, PLACEHOLDER) for start, end, _ in spans]
    noun = _surface_noun(prompt, spans[0][0], spans[-1][1])
    if noun is None:
        before = prompt[max(0, spans[0][0] - _NEAR) : spans[0][0]]
        is_spoken = _SPEAKS.search(before) and not _TEXT.search(before)
        text = _edited(prompt, edits)
        others = _TEXT.sub("words", text)
        return QuotedWords(words, text, others, "bubble" if is_spoken else _USUAL)
    found, colour = noun
    others = _TEXT.sub("words", _edited(prompt, [*edits, (*found.span(), "surface")]))
    surface = _SURFACES[plain_text(found[0]).lower()]  # "ſ" matches "s" without regard to case
    return QuotedWords(words, _edited(prompt, edits), others, surface, colour)


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    """The text with other words in some ranges."""
    for start, end, words in sorted(edits, reverse=True):
        text = f"{text[:start]}{words}{text[end:]}"
    return text


def shortened(words: str) -> str:
    """The first `MAX_CHARACTERS` at most; what is longer ends at a word, with an ellipsis."""
    if len(words) <= MAX_CHARACTERS:
        return words
    kept = words[: MAX_CHARACTERS - 1]
    cut = max(kept.rfind(" "), kept.rfind("\n"))
    return f"{kept[:cut] if cut > 0 else kept}…"


def _is_drawn(prompt: str, start: int, end: int, words: str) -> bool:
    """False for a whole prompt in quotation marks, names, titles and scare quotes."""
    before, after = prompt[max(0, start - _NEAR) : start], prompt[end : end + _NEAR]
    if not re.search(r"\w", before + after) or words.lower() in _SHORTENED:
        return False
    if _CITED.search(before) or (start < _NEAR and _is_description(before, words, after)):
        return False
    has_surface = bool(_SURFACE.search(before) or _SURFACE.search(after))
    if _NAMED.search(before):
        return bool(_SURFACE.search(before))
    if has_surface or _SAYS.search(before):
        return True
    if _DESCRIPTION.match(words):
        return False
    if prompt[start] in "'‘":
        return words[0].isupper()
    is_adjective = words.islower() and " " not in words and re.match(r"\s+[a-z]", after)
    return not is_adjective


def _is_description(before: str, words: str, after: str) -> bool:
    """True for the quotation in 'draw "a red car", 4k'."""
    is_first = bool(_LEADS.fullmatch(before) and _DESCRIPTION.match(words))
    return is_first and not _WRITTEN.match(after)


def _without_marks(prompt: str) -> list[tuple[int, int, str]]:
    """The words after a surface and a verb: capitals, or the next few words of the sentence."""
    found = _WITHOUT_MARKS.search(prompt)
    if not found:
        return []
    start = found.end()
    capitals = _CAPITALS.match(prompt, start)
    if capitals and sum(char.isalnum() for char in capitals[0]) > 1:
        words = capitals[0].rstrip(".-")
        return [(start, start + len(words), words)]
    end = start
    for count, word in enumerate(re.finditer(r"\S+", prompt[start:])):
        bare = word[0].rstrip(",.;:")
        if count == _MAX_UNMARKED or bare.lower() in _ENDS:
            break
        end = start + word.start() + len(bare)
        if bare != word[0] or bare[-1] in "!?":
            break
    return [(start, end, prompt[start:end])] if end > start else []


def _surface_noun(prompt: str, start: int, end: int) -> tuple[re.Match[str], str] | None:
    """The noun of the surface and its colour word, "" for none."""
    earlier = next(reversed(list(_SURFACE.finditer(prompt, max(0, start - _NEAR), start))), None)
    behind = _SURFACE.search(prompt, end, end + len(_clause(prompt[end:])))
    words_between = len(prompt[end : behind.start()].split()) if behind else 0
    is_near = earlier is not None and len(prompt[earlier.end() : start].split()) <= _MAX_APART
    if behind and (words_between <= 1 or (_WHERE.match(prompt[end:]) and not is_near)):
        found = behind
    elif later := earlier or _SURFACE.search(prompt, end, end + _NEAR):
        found = later
    else:
        return None
    text = prompt[end if found.start() >= end else 0 : found.start()]
    near = re.findall(r"[\w-]+", text.lower())[-1 - _MAX_BETWEEN :]
    return found, next((SPELLINGS[word] for word in reversed(near) if word in SPELLINGS), "")


def _clause(text: str) -> str:
    """The text up to the next punctuation."""
    return re.split(r"[,.;]", text, maxsplit=1)[0]
