"""Words that people append to a prompt: quality, technique, style, artists. They change nothing.

Most tails have adjectives or made-up names besides the usual tags, so that the network learns to
ignore unknown words. No tail names an object, a place or a time.
"""

from __future__ import annotations

import numpy as np


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(", "))


QUALITY = _list(
    """4k, 8k, 8 k, hd, uhd, ultra hd, full hd, hq, hdr, high resolution, highly detailed, very
    detailed, ultra detailed, hyper detailed, insanely detailed, extremely detailed, intricate
    details, fine details, micro detail, detailed, intricate, high quality, best quality, top
    quality, masterpiece, award winning, professional, sharp focus, sharp, crisp, in focus,
    smooth, clean lines, clean, polished, perfect composition, nice composition, beautiful
    colours, vivid colors, rich colors, vibrant colors, colourful, no text, no watermark,
    flawless, stunning, gorgeous, breathtaking, amazing, incredible, wonderful, best shot"""
)
TECHNIQUE = _list(
    """octane render, octane, unreal engine, unreal engine 5, unreal, blender, cinema 4d, c4d,
    redshift, vray, v-ray, ray tracing, path tracing, global illumination, ambient occlusion,
    subsurface scattering, cgi, vfx, physically based rendering, 3d, low poly, isometric, bokeh,
    dslr, 35mm, 50mm, 85mm lens, 200mm, f/1.4, f 2.8, iso 100, canon eos, nikon d850,
    hasselblad, leica, kodak portra, fujifilm, film grain, shallow depth of field, depth of
    field, dof, wide angle, wide shot, long shot, medium shot, full shot, low angle, high angle,
    tilt shift, long exposure, motion blur, lens flare, studio lighting, soft
    lighting, dramatic lighting, cinematic lighting, rim lighting, back lit, volumetric
    lighting, volumetric, ambient light, natural lighting, chiaroscuro, golden
    ratio, rule of thirds, symmetrical, centered, photorealistic,
    hyperrealistic, realistic, photo-realistic, lifelike, raw photo, stock photo, photography,
    product photography, editorial photography, photoshoot, render, digital render"""
)
STYLES = _list(
    """digital art, digital painting, oil painting, oil on canvas, acrylic painting, gouache,
    matte painting, concept art, character design, illustration, flat illustration, vector art,
    storybook illustration, picture book illustration, editorial illustration, comic style,
    comic book style, graphic novel style, cartoon style, anime, anime style, manga style,
    chibi, kawaii, pop art, art nouveau, art deco, baroque, rococo, renaissance, romanticism,
    realism, impressionism, impressionist, expressionism, cubism, surrealism, surrealist,
    minimalism, minimalist, minimal, abstract, bauhaus, ukiyo-e, folk art, naive art, street
    art, stencil, steampunk, cyberpunk, solarpunk, dieselpunk, vaporwave, synthwave, gothic,
    medieval style, victorian style, futuristic, sci-fi, fantasy art, dark fantasy, high
    fantasy, fairytale style, claymation, plasticine, stop motion, origami style, papercraft,
    paper cutout, cut-out, embroidery style, stained glass style, mosaic style, low-fi, lofi,
    y2k, 80s style, 90s style, mid-century modern, scandinavian style, ui design, logo design,
    app style, clip art, modern, contemporary, classic, timeless, stylized, aesthetic, artistic,
    elegant, cinematic, epic, whimsical, moody"""
)
SITES = _list(
    """trending on artstation, artstation, artstation hq, trending on {}, deviantart, pixiv,
    trending on pixiv, behance, featured on behance, dribbble, cgsociety, pinterest, instagram,
    trending, featured on {}, as seen on {}, popular on {}, flickr, unsplash"""
)
ARTISTS = _list(
    """by {}, art by {}, by {} and {}, art by {} and {}, by {} & {}, in the style of {}, in the
    manner of {}, style of {}, inspired by {}, {} style, {} and {}, after {}, illustrated by {},
    directed by {}, photographed by {}, designed by {}, from the studio {}, made by {}"""
)
OPTIONS = _list(
    """--ar 16:9, --ar 1:1, --v 5, --q 2, --stylize 750, --no text, ar 3:2, v4, seed 42, cfg 7,
    1024x1024, 16:9"""
)
ADJECTIVES = _list(
    """abandoned, absurd, ancient, angry, anxious, authentic, awkward, bizarre, bold, bouncy,
    brave, brilliant, broken, calm, careful, casual, charming, cheerful, chubby, clever, clumsy,
    cool, cosy, crazy, creepy, curious, curly, cute, dainty, damaged, daring, dazzling,
    decorative, delicate, delightful, delicious, dirty, dramatic, dusty, dynamic, eager, eerie,
    elaborate, enchanting, energetic, exotic, expensive, expressive, exquisite, fabulous, faded,
    famous, fancy, fashionable, fierce, fluffy, foreign, forgotten, formal, fragile, friendly,
    funny, furry, fuzzy, gentle, gleaming, gloomy, glossy, graceful, grand, grumpy, handmade,
    happy, harmonious, haunting, heavy, heroic, hidden, historic, humble, hungry, imaginary,
    impressive, innocent, jolly, joyful, lazy, legendary, light, lonely, lovely, lucky,
    luxurious, magical, majestic, melancholic, merry, messy, mighty, modest, mysterious, mystic,
    naughty, neat, nervous, noble, noisy, nostalgic, odd, ordinary, ornate, peaceful, peculiar,
    playful, pleasant, plump, polite, poor, popular, powerful, precious, pretty, proud, quaint,
    quiet, quirky, rare, relaxed, reliable, rich, robust, romantic, rough, rustic, sad, scary,
    serious, shabby, shiny, shy, silent, silly, simple, sleek, sleepy, slender, sly, smart,
    soft, solid, soothing, sparkling, special, spooky, spotless, stern, strange, strong,
    stylish, subtle, surprised, terrific, tidy, tired, tough, traditional, tranquil,
    unusual, upbeat, vague, valuable, warm, weathered, weird, wise, wooden, worn, youthful"""
)
_FIRST = (
    "greg john anna marc alphonse ivan maria peter james wei akira claude sofia paul josh lena tom"
    " hana carlos nina viktor amara lucas mei oscar ines pavel zoe hugo kira samuel noor edgar"
).split()
_LAST = (
    "rutkowski smith mucha jensen aivazovsky simonetti wong miller lopez tanaka okafor silva novak"
    " ferrari dubois larsen kowalski haddad ito moreau schmidt petrov costa nakamura eriksson wlop"
    " artgerm loish rossdraws monet hokusai giger bosch klimt"
).split()
_SYLLABLES = "ka lo mi ren tu sa vor del ni bra quo zen fi har ost lu wen dor pi gal".split()
# Lists of tags, and how often each is taken.
_KINDS = (
    *((QUALITY, 4.0), (TECHNIQUE, 4.0), (STYLES, 4.0), (SITES, 1.5)),
    *((ARTISTS, 3.0), (OPTIONS, 0.5), (ADJECTIVES, 2.0)),
)
_SHARES = np.array([weight for _, weight in _KINDS]) / sum(weight for _, weight in _KINDS)


def tail(rng: np.random.Generator) -> list[str]:
    """One to eight tags."""
    kinds = rng.choice(len(_KINDS), min(8, rng.geometric(0.35)), p=_SHARES)
    tags = [str(rng.choice(_KINDS[kind][0])) for kind in kinds]
    return [named(tag, rng) for tag in dict.fromkeys(tags)]


def named(tag: str, rng: np.random.Generator) -> str:
    """The tag with names of people, usual ones or made-up ones."""
    while "{}" in tag:
        tag = tag.replace("{}", _name(rng), 1)
    return tag


def _name(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    return " ".join("".join(rng.choice(_SYLLABLES, rng.integers(1, 4))) for _ in range(2))
