"""Contact sheets of the table of things: every look of every row, for inspection by eye.

`python -m training.lookbook FOLDER` writes them. Add wrong looks to `training.art.WRONG`, or change
the slug.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from daguerre.models.embedded.drawing import art
from daguerre.models.embedded.drawing.recolouring import COLOURS, recoloured
from daguerre.models.embedded.drawing.things import THINGS, Thing, drawn, looks

SIDE = 52  # pixels of one look
CELL = (3 * SIDE + 6, SIDE + 16)
COLUMNS, ROWS = 7, 14
PAPER = (150, 190, 150)  # white and grey things stay visible


def cell(thing: Thing, colour: str) -> Image.Image:
    """The looks of one row side by side, with its name below."""
    image = Image.new("RGB", CELL, PAPER)
    for place, look in enumerate(looks(thing)):
        own, *size = drawn(look)
        text = recoloured(*look, colour) if thing.recolourable else own
        pixels = Image.fromarray(art.draw(art.document(text, *size), SIDE, SIDE))
        image.paste(pixels, (place * SIDE + 2, 1), pixels)
    ImageDraw.Draw(image).text((2, SIDE + 2), thing.name[:28], fill=(0, 0, 0))
    return image


def sheets(rows: Sequence[Thing], folder: Path, colour: str = "") -> list[Path]:
    """Write as many sheets as the rows need; with a colour, things that take it are shown in it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for start in range(0, len(rows), COLUMNS * ROWS):
        page = Image.new("RGB", (COLUMNS * CELL[0], ROWS * CELL[1]), PAPER)
        for n, thing in enumerate(rows[start : start + COLUMNS * ROWS]):
            page.paste(cell(thing, colour), (n % COLUMNS * CELL[0], n // COLUMNS * CELL[1]))
        paths.append(folder / f"things-{len(paths):02}.png")
        page.save(paths[-1])
    return paths


def main() -> None:
    tags = sorted({tag for thing in THINGS for tag in thing.tags})
    parser = argparse.ArgumentParser(description="draw every look of every thing, to be looked at")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tag", default="", choices=("", *tags), help="only rows with this tag")
    parser.add_argument(
        "--colour", default="", choices=("", *COLOURS), help="the colour of things that take one"
    )
    asked = parser.parse_args()
    rows = [thing for thing in THINGS if not asked.tag or asked.tag in thing.tags]
    for path in sheets(rows, asked.folder, asked.colour):
        print(path)


if __name__ == "__main__":
    main()
