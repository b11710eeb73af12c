"""Words that name objects which the picture does not show.

"Featured in Teapot Monthly" shows no teapot, "the one that my father likes" no man, and "drawn with
chalk" no chalk. Any object may be such a word, and any word of the tokenizer a tag.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

import numpy as np

from daguerre.models.embedded.drawing import SHAPES, things
from daguerre.models.embedded.model import WEIGHTS
from training import unseen
from training.captions import caption
from training.scenes import sample_scene
from training.tails import ADJECTIVES, named

# A tag with the name of an object, {thing}, or a made-up or usual name, {}.
NAME_TAGS = (
    "{thing} magazine",
    "{thing} monthly",
    "from the pages of {thing} quarterly",
    "{thing} studio",
    "studio {thing}",
    "{thing} studios",
    "by the {thing} collective",
    "by {thing} pictures",
    "{thing} films",
    "from the {thing} archive",
    "winner of the {thing} award",
    "the {thing} prize",
    "{thing} painter",
    "{thing} sculptor",
    "{thing} pro",
    "{thing} engine",
    "{thing} engine 4",
    "{thing} draw",
    "{thing} 3d",
    "{thing} shader",
    "{thing} plugin",
    "{thing} texture pack",
    "{thing} filter",
    "{thing} preset",
    "{thing} lens",
    "{thing} vision",
    "{thing}hub",
    "{thing}ism",
    "{thing}wave",
    "{thing}punk",
    "{thing} hd",
    "{thing} xl",
    "{thing} v{digit}",
    "{thing} aesthetic",
    "{thing} records",
    "{thing} poster series",
    "{thing} edition",
    "shown at the {thing} gallery",
    "exhibited in the {thing} hall",
    "seen in a {thing}",
    "in the collection of the {thing}",
    "published by {thing} press",
    "printed by {thing} press",
    "listed in a {thing} guide",
    "on the front page of the {thing} times",
    "on the cover of a magazine",
    "on a postcard",
    "in a picture book",
    "from a {thing} documentary",
    "for a {thing} shop",
    "for a {thing} company",
    "made for {} by {thing} studio",
    "{} for {thing} magazine",
    "art director {}",
    "commissioned by the {thing} club",
    "#{thing}",
    "@{thing}",
)
# Materials and tools of an artist; some of them are objects, too.
TOOLS = tuple(
    "chalk,charcoal,a pencil,pencils,coloured pencils,colored pencils,a pen,a ballpoint pen,"
    "markers,a marker,felt-tip pens,oil paint,acrylics,spray paint,paint,"
    "a fountain pen,graphite,a roller,a mouse,a tablet,a stick,needle and thread".split(",")
)
SURFACES = tuple(
    "canvas,cardboard,wood,a napkin,a wall,parchment,black paper,a tablet,glass,fabric,a notebook,"
    "linen,old paper,an envelope,silk,a sheet of metal,graph paper".split(",")
)
_TOOL_TAILS = (
    "drawn with {tool}",
    "painted with {tool}",
    "sketched with {tool}",
    "made with {tool}",
    "done with {tool} on {surface}",
    "drawn with {tool} on {surface}",
    "painted on {surface}",
    "drawn on {surface}",
    "sketched on {surface}",
    "printed on {surface}",
    "carved from {surface}",
    "{tool} on {surface}",
)
RELATIVES = tuple(
    "father,mother,dad,mum,mom,brother,sister,aunt,cousin,grandfather,grandpa,grandma,wife,husband,"
    "son,daughter,boss,teacher,neighbour,neighbor,friend,best friend,girlfriend,boyfriend,nephew,"
    "niece,doctor,kids,children,parents,family,colleagues,class,flatmate,landlord,dentist,baker".split(
        ","
    )
)
# What follows a prompt, with or without a comma.
_CLAUSES = (
    "that my {relative} likes",
    "that my {relative} made",
    "that my {relative} always wanted",
    "that reminds me of my {relative}",
    "that I saw last {moment}",
    "that I found on the internet",
    "that everybody talks about",
    "which I bought last {moment}",
    "which my {relative} gave me",
    "the one that my {relative} talks about",
    "the way my {relative} likes it",
    "just like my {relative}'s",
    "like the one of my {relative}",
    "for my {relative}",
    "for my {relative}'s birthday",
    "a gift from my {relative}",
    "as my {relative} remembers it",
    "as seen by my {relative}",
    "as described by {}",
    "as imagined by {}",
    "as in the films of {}",
    "as in the old days",
    "as a {} character",
    "as a {adjective} mascot",
    "as a sticker",
    "from a film by {}",
    "from a {adjective} film",
    "from a {adjective} story",
    "from a game by {}",
    "from a series by {}",
    "from a {} production",
    "from the {decade}s",
    "of the {ordinal} kind",
    "of my childhood",
    "in the year {year}",
    "in {year}",
    "made in {year}",
    "of another age",
    "in the spirit of {}",
    "done by {}",
    "that feels {adjective}",
    "that looks {adjective} and {adjective}",
    "with a {adjective} feeling",
    "with a {adjective} look",
    "with a touch of magic",
    "with great care",
    "with no {thing}",
    "with no {thing} and no {thing}",
    "without any {thing}",
    "but no {thing}",
    "no {thing}",
    "no {thing}, no {thing}",
)
# Words before a prompt that name what the picture is a part of.
_LEADS = (
    "a still of {it} from a film by {}",
    "film still of {it}, by {}",
    "a scene with {it} from a {adjective} film",
    "{it} on the cover of {thing} magazine",
    "a poster of {it} for the {thing} festival",
    "a {thing} studio picture of {it}",
    "official art of {it} by {thing} games",
    "a trailer for a film about {it}",
    "a scan of {it} from an old book",
    "a stamp with {it}",
    "a children's book page with {it}",
    "a screenshot of {it} in a game",
    "my {relative} asked for {it}",
    "my {relative} wants {it}",
    "for my {relative}: {it}",
    "a portrait of {it} that my {relative} would like",
)
_MOMENTS = tuple("week,month,year,weekend,monday,friday,time".split(","))
_ORDINALS = tuple("first,second,third,usual,rare,best,finest,old,quiet".split(","))
_NUM_SCENES = 3000  # whose captions have the words that say something


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(name for t in things.THINGS for name in (t.name, *t.synonyms))


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Words of the tokenizer that resemble no word of captions and no object's name."""
    table = json.loads((WEIGHTS / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    rng = np.random.default_rng(0)
    captions = (caption(sample_scene(rng, SHAPES[0]), rng) for _ in range(_NUM_SCENES))
    said = {
        word[:5]
        for text in (*captions, *_names(), *unseen.WORDS)
        for word in re.findall("[a-z]+", text.lower())
    }
    return tuple(
        w for w in table if w.isascii() and w.isalpha() and len(w) > 4 and w[:5] not in said
    )


def tags(rng: np.random.Generator, text: str) -> list[str]:
    """One to three tags with objects that `text` does not name, or with any words."""
    found = []
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.3:
            found.append(" ".join(rng.choice(vocabulary(), rng.integers(1, 4))))
        else:
            found.append(_filled(str(rng.choice((*NAME_TAGS, *_TOOL_TAILS))), rng, text))
    return found


def clause(rng: np.random.Generator, text: str) -> str:
    """The text with a clause at its end that changes nothing."""
    words = _filled(str(rng.choice(_CLAUSES)), rng, text)
    joint = ", " if words.startswith("no ") or rng.random() < 0.35 else " "
    return f"{text.rstrip('.')}{joint}{words}"


def lead(rng: np.random.Generator, text: str) -> str:
    """The text within words that say where the picture is from."""
    return _filled(str(rng.choice(_LEADS)), rng, text).replace("{it}", text.rstrip("."))


def _filled(template: str, rng: np.random.Generator, text: str) -> str:
    lists: dict[str, tuple[str, ...]] = {
        "thing": _names(),
        "tool": TOOLS,
        "surface": SURFACES,
        "relative": RELATIVES,
        "adjective": ADJECTIVES,
        "moment": _MOMENTS,
        "ordinal": _ORDINALS,
        "decade": tuple(str(year) for year in range(1900, 2000, 10)),
        "year": tuple(str(year) for year in range(1500, 2100)),
        "digit": tuple("123456789"),
    }
    for name, words in lists.items():
        while f"{{{name}}}" in template:
            template = template.replace(f"{{{name}}}", _unsaid(words, rng, text), 1)
    return named(template, rng)


def _unsaid(words: tuple[str, ...], rng: np.random.Generator, text: str) -> str:
    """One of the words, without those that the text has."""
    said = set(re.findall("[a-z]+", text.lower()))
    while True:
        found = str(rng.choice(words))
        if said.isdisjoint(found.lower().split()):
            return found
