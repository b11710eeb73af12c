"""Phrases that people put around a caption, and typical words of negative prompts.

They say nothing about the scene, so they must change nothing: "please draw ...", "..., 4k, highly
detailed, by Somebody", and the words that many put into every negative prompt.
"""

from __future__ import annotations

import numpy as np

ASK_SHARE, TAG_SHARE, JUNK_SHARE = 0.15, 0.16, 0.02
_ASKS = (
    "draw {}",
    "please draw {}",
    "draw me {}",
    "can you draw {}?",
    "could you paint {}",
    "generate an image of {}",
    "create an image of {}",
    "an image of {}",
    "make a picture of {}",
    "I want {}",
    "I would like to see {}",
    "imagine {}",
    "a photo of {}",
    "a nice illustration that shows {}",
    "an emoji of {}",
    "clip art of {}",
    "a sticker of {}",
    "a poster of {}",
    "a wallpaper with {}",
    "there is {}",
    "here we see {}",
    "a photograph of {}",
    "a realistic photo of {}",
    "a 3d render of {}",
    "a view of {}",
    "an illustration of {}",
    "an artwork of {}",
    "a beautiful picture of {}",
    "the picture shows {}",
)
_TAGS = (
    "4k",
    "8k",
    "hd",
    "highly detailed",
    "high quality",
    "best quality",
    "masterpiece",
    "digital art",
    "trending",
    "beautiful colours",
    "sharp focus",
    "aesthetic",
    "cinematic",
    "award winning",
    "concept art",
    "stylized",
    "clean lines",
    "modern",
    "professional",
    "detailed",
    "no text",
    "elegant",
    "artistic",
    "nice composition",
    "bokeh",
    "dslr",
    "35mm",
    "depth of field",
    "golden ratio",
    "octane render",
    "unreal engine",
    "photorealistic",
    "hyperrealistic",
    "intricate",
    "volumetric",
    "ultra hd",
    "smooth",
    "very detailed",
    "wide angle",
    "by {}",
    "art by {} and {}",
    "in the manner of {}",
    "featured on {}",
)
_SYLLABLES = "ka lo mi ren tu sa vor del ni bra quo zen fi har ost lu wen dor pi gal".split()
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
        tags = rng.choice(_TAGS, rng.integers(1, 6), replace=False)
        caption = ", ".join((caption.rstrip("."), *(_named(str(tag), rng) for tag in tags)))
    if rng.random() < ASK_SHARE:
        lower = caption[:1].lower() + caption[1:]
        caption = str(rng.choice(_ASKS)).format(lower.rstrip("."))
        caption = caption[:1].upper() + caption[1:] if rng.random() < 0.4 else caption
    return caption


def _named(tag: str, rng: np.random.Generator) -> str:
    """The tag with made-up names, so that no name of an artist or a site means anything."""
    while "{}" in tag:
        words = ["".join(rng.choice(_SYLLABLES, rng.integers(1, 4))) for _ in range(2)]
        tag = tag.replace("{}", " ".join(words), 1)
    return tag


def junk(rng: np.random.Generator) -> str:
    """Words that people put into every negative prompt."""
    return ", ".join(rng.choice(_JUNK, rng.integers(1, 7), replace=False))
