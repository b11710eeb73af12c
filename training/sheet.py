"""Draws a contact sheet of prompts with exported weights, using the serving code.

    python -m training.sheet --weights FOLDER --prompts training/prompts.txt --out sheet.png

The file has one prompt on each line; `#` starts a comment. The seed of a prompt is its number.
`--each 24` writes sheet-1.png, sheet-2.png and so on, large enough to judge every image by eye:

    python -m training.sheet --prompts training/typed_prompts.txt --each 24 --out sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from daguerre.engine.forward import Network
from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.params import ImageParams

FONT_PX, LINE_PX, MARGIN_PX = 13, 16, 4


def read_prompts(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def draw(model: EmbeddedModel, networks: Mapping[str, Network], params: ImageParams) -> Pixels:
    """Pixels (height, width, 3): one request run without an engine."""
    pipeline = model.pipeline(params)
    forward = next(pipeline)
    try:
        while True:
            forward = pipeline.send(networks[forward.network](forward.inputs))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def sheet(images: list[tuple[str, NDArray[np.uint8]]], columns: int, side: int) -> Image.Image:
    """Images in cells of `side` pixels, each with its whole prompt below it."""
    font = ImageFont.load_default(FONT_PX)
    captions = [wrap(prompt, font, side) for prompt, _ in images]
    height = side + LINE_PX * max(map(len, captions)) + 2 * MARGIN_PX
    width = side + 2 * MARGIN_PX
    out = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    pen = ImageDraw.Draw(out)
    for i, ((_, pixels), lines) in enumerate(zip(images, captions, strict=True)):
        picture = Image.fromarray(pixels)
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        x, y = i % columns * width + MARGIN_PX, i // columns * height + MARGIN_PX
        out.paste(picture, (x, y))
        for number, line in enumerate(lines):
            pen.text((x, y + side + 2 + number * LINE_PX), line, "black", font)
    return out


def wrap(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word has a line of its own."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--weights", type=Path, default=WEIGHTS)
    p.add_argument("--prompts", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--steps", type=int, default=0)
    p.add_argument("--columns", type=int, default=6)
    p.add_argument("--side", type=int, default=256)
    p.add_argument("--each", type=int, default=0, help="images per file; 0 for one file")
    args = p.parse_args()
    prompts = read_prompts(args.prompts)
    model = EmbeddedModel("embedded", folder=args.weights, num_inference_steps=args.steps)
    networks = dict(model.load())
    images = [
        (prompt, draw(model, networks, ImageParams("embedded", prompt, seed=i)))
        for i, prompt in enumerate(prompts, 1)
    ]
    each = args.each or len(images)
    for number, start in enumerate(range(0, len(images), each), 1):
        name = f"{args.out.stem}-{number}{args.out.suffix}" if args.each else args.out.name
        some = images[start : start + each]
        sheet(some, args.columns, args.side).save(args.out.with_name(name))


if __name__ == "__main__":
    main()
