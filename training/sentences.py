"""Sentences around a prompt that say nothing of the picture's content: mood, purpose, technique."""

from __future__ import annotations

import numpy as np

from training.tails import ADJECTIVES

_TEMPLATES = (
    "The atmosphere is {adjective} and {adjective}.",
    "The overall mood is {adjective}.",
    "It feels {adjective}, almost {adjective}.",
    "Everything about it is {adjective}.",
    "Make it look {adjective}.",
    "It should look {adjective} and a little {adjective}.",
    "Please keep it {adjective}.",
    "The composition is {adjective} and {adjective}.",
    "The {aspect} is {adjective} and draws the attention of the viewer.",
    "Pay attention to the {aspect} and the {aspect}.",
    "The {aspect} adds to the {adjective} mood.",
    "There is a {adjective} feeling of {feeling}.",
    "The scene evokes {feeling} and {feeling}.",
    "It gives a sense of {feeling}.",
    "The viewer is left with a sense of {feeling}.",
    "The whole image speaks of {feeling}.",
    "I need it for {purpose}.",
    "This is for {purpose}.",
    "It will be used in {purpose}.",
    "It was made for {purpose} last year.",
    "I have been thinking about this idea for weeks.",
    "This came to me in a dream once.",
    "This is something that I remember.",
    "Use your imagination for the rest.",
    "Surprise me with the {aspect}.",
    "Nothing else matters here.",
    "The style is {adjective}, with great attention to the {aspect}.",
    "The image was created with care for the {aspect}.",
    "The quality is as high as possible, and the {aspect} is {adjective}.",
    "Whoever made this has captured the {aspect} in a {adjective} way.",
    "Rendered in high resolution, with {adjective} {aspect}.",
    "High quality, with {adjective} {aspect} and {adjective} {aspect}.",
    "It reminds me of an old story about {feeling}.",
    "It looks as if it came from a {adjective} story.",
    "The result is {adjective} and full of {feeling}.",
    "Keep the {aspect} simple.",
    "Avoid clutter and keep the {aspect} {adjective}.",
    "The focus is on the subject.",
    "The subject is the centre of attention and looks {adjective}.",
    "All in all, it is a {adjective} and {adjective} piece of work.",
    "This image was inspired by a {adjective} melody.",
    "Thank you very much!",
    "Thanks in advance.",
    "Let it tell a story of {feeling}.",
    "It tells a {adjective} story without words.",
    "The lines are {adjective} and the shapes are {adjective}.",
    "Its shapes are {adjective}, its {aspect} is {adjective}.",
    "You can almost feel the {feeling}.",
    "Think of {feeling}, of {feeling}, and of {feeling}.",
    "I am working on {purpose} and want something {adjective}.",
)
_ASPECTS = (
    "composition,texture,detail,perspective,balance,contrast,atmosphere,craftsmanship,design,"
    "proportions,outline,expression,symmetry,rhythm,depth,arrangement,finish,technique,character,"
    "framing,geometry,simplicity,silhouette,surface,style"
).split(",")
_FEELINGS = (
    "nostalgia,wonder,joy,calm,curiosity,adventure,mystery,warmth,freedom,hope,melancholy,peace,"
    "solitude,energy,courage,harmony,elegance,simplicity,humour,comfort,tension,excitement,"
    "friendship,patience,pride,longing,innocence,gratitude,silence"
).split(",")
_PURPOSES = (
    "a small project,my blog,our website,a presentation,a birthday invitation,an advertisement,"
    "a bedtime story,a magazine,my homework,a product list,a campaign,a lecture,an exhibition,"
    "a small party,an article,a tutorial,a workshop,our newsletter,a contest,my portfolio,"
    "a greeting,the cover of my first novel,a conference"
).split(",")


def sentence(rng: np.random.Generator) -> str:
    """A sentence that is true of any picture."""
    text = str(rng.choice(_TEMPLATES))
    lists = {"adjective": ADJECTIVES, "aspect": _ASPECTS, "feeling": _FEELINGS}
    for name, words in {**lists, "purpose": _PURPOSES}.items():
        while f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", str(rng.choice(words)), 1)
    return text
