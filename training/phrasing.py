"""Phrases that people put around a caption, and typical words of negative prompts.

They must not change the scene: "please draw ...", tags and sentences around the caption, other
letter cases, missing articles and typing errors.
"""

from __future__ import annotations

import re

import numpy as np

from training import unshown
from training.sentences import sentence
from training.tails import tail

ASK_SHARE, TAG_SHARE, LONG_SHARE, JUNK_SHARE = 0.25, 0.25, 0.09, 0.01
UNSHOWN_SHARE, LEAD_SHARE, CLAUSE_SHARE = 0.45, 0.12, 0.09
TYPING_SHARE, BARE_SHARE, LOWER_SHARE, UPPER_SHARE, TITLE_SHARE = 0.02, 0.04, 0.15, 0.02, 0.02
# Of captions whose last words are drawn; nothing may follow them.
_LETTERING = frozenset("says say saying reads reading read written writing text word words".split())
_ARTICLE = re.compile(r"\b(?:a|an|the) ", re.IGNORECASE)
_ASKS = (
    "draw {}",
    "please draw {}",
    "draw me {}",
    "draw {} for me",
    "can you draw {}?",
    "could you paint {}",
    "could you draw {} please?",
    "can I have {}?",
    "can i get a picture of {}",
    "generate {}",
    "generate an image of {}",
    "generate a picture with {}",
    "create {}",
    "create an image of {}",
    "create an illustration of {}",
    "create a picture showing {}",
    "an image of {}",
    "an image showing {}",
    "an image that shows {}",
    "image of {}",
    "make a picture of {}",
    "make me {}",
    "make an image with {}",
    "I want {}",
    "I want to see {}",
    "I want a picture of {}",
    "I need {}",
    "I need an image of {}",
    "I would like to see {}",
    "I'd like {}",
    "give me {}",
    "give me a picture of {}",
    "show {}",
    "let me see {}",
    "imagine {}",
    "/imagine {}",
    "imagine {} in front of you",
    "a photo of {}",
    "a photo of {}",
    "a photo of {}",
    "photo of {}",
    "a photograph of {}",
    "a realistic photo of {}",
    "a high quality photo of {}",
    "a good photo of {}",
    "a cropped photo of {}",
    "a studio photo of {}",
    "a nice illustration that shows {}",
    "an illustration of {}",
    "an illustration showing {}",
    "an emoji of {}",
    "clip art of {}",
    "a sticker of {}",
    "a poster of {}",
    "a card with {}",
    "a wallpaper with {}",
    "there is {}",
    "there is {} in the picture",
    "here is {}",
    "here we see {}",
    "we see {}",
    "you can see {}",
    "in this picture there is {}",
    "a 3d render of {}",
    "a render of {}",
    "a view of {}",
    "an artwork of {}",
    "a painting of {}",
    "an oil painting of {}",
    "a digital painting of {}",
    "a cartoon of {}",
    "a cartoon drawing of {}",
    "concept art of {}",
    "a beautiful picture of {}",
    "a picture showing {}",
    "a simple picture of {}",
    "picture of {}",
    "pic of {}",
    "the picture shows {}",
    "the image depicts {}",
    "this image shows {}",
    "a depiction of {}",
    "a rendering of {}",
    "a design with {}",
    "a graphic of {}",
    "a scene with {}",
    "artwork: {}",
    "prompt: {}",
    "subject: {}",
    "{} please",
    "{}, please",
    "{}, thanks",
    "what does {} look like?",
    "how would {} look?",
    "do you know {}? draw it",
    "my idea: {}",
    "something like {}",
    "maybe {}",
    "ok now {}",
    "now draw {}",
    "next, {}",
)
_JUNK = (
    "blurry",
    "low quality",
    "worst quality",
    "watermark",
    "text",
    "signature",
    "logo",
    "ugly",
    "deformed",
    "disfigured",
    "bad anatomy",
    "extra fingers",
    "jpeg artifacts",
    "out of focus",
    "noisy",
    "cropped",
    "grainy",
    "distorted",
    "low resolution",
    "bad proportions",
    "duplicate",
    "poorly drawn",
    "boring",
    "amateur",
)


def asked(caption: str, rng: np.random.Generator) -> str:
    """The caption, in some cases within words that say nothing of the scene."""
    if rng.random() < TAG_SHARE:
        caption = ", ".join((caption.rstrip("."), *_tags(rng, caption)))
    elif rng.random() < ASK_SHARE:
        lower = caption[:1].lower() + caption[1:]
        if rng.random() < LEAD_SHARE:
            caption = unshown.lead(rng, lower)
        else:
            caption = str(rng.choice(_ASKS)).format(lower.rstrip("."))
        caption = caption[:1].upper() + caption[1:] if rng.random() < 0.4 else caption
    elif rng.random() < CLAUSE_SHARE and _LETTERING.isdisjoint(caption.split()):
        caption = unshown.clause(rng, caption)
    if rng.random() < LONG_SHARE:
        caption = _within_sentences(caption, rng)
    return _typed(caption, rng)


def _tags(rng: np.random.Generator, caption: str) -> list[str]:
    """Tags that change nothing, some of them with names of objects."""
    found = tail(rng)
    if rng.random() < UNSHOWN_SHARE:
        for tag in unshown.tags(rng, caption):
            found.insert(int(rng.integers(len(found) + 1)), tag)
    return found


def _within_sentences(caption: str, rng: np.random.Generator) -> str:
    """The caption with one to five sentences around it."""
    around = [sentence(rng) for _ in range(rng.integers(1, 6))]
    at = 0 if rng.random() < 0.7 else int(rng.integers(len(around) + 1))
    said = caption[:1].upper() + caption[1:].rstrip(".") + "."
    return " ".join((*around[:at], said, *around[at:]))


def _typed(caption: str, rng: np.random.Generator) -> str:
    """The caption as some people type it."""
    if rng.random() < BARE_SHARE:
        caption = _ARTICLE.sub("", caption)
    if rng.random() < TYPING_SHARE:
        caption = _mistyped(caption, rng)
    chance = rng.random()
    if chance < LOWER_SHARE:
        return caption.lower()
    if chance < LOWER_SHARE + UPPER_SHARE:
        return caption.upper()
    return caption.title() if chance < LOWER_SHARE + UPPER_SHARE + TITLE_SHARE else caption


def _mistyped(caption: str, rng: np.random.Generator) -> str:
    """The caption with an error in one of its longer words: a letter lost, doubled or swapped."""
    words = caption.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return caption
    i = int(rng.choice(long))
    word, k = words[i], int(rng.integers(1, len(words[i]) - 1))
    options = (
        word[:k] + word[k + 1 :],
        word[:k] + word[k] + word[k:],
        word[:k] + word[k + 1] + word[k] + word[k + 2 :],
    )
    words[i] = options[int(rng.integers(len(options)))]
    return " ".join(words)


def junk(rng: np.random.Generator) -> str:
    """Words that people put into every negative prompt."""
    return ", ".join(rng.choice(_JUNK, rng.integers(1, 7), replace=False))
