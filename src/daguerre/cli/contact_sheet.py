"""The contact sheet: thumbnails of all images of a run, each with its prompt and seed."""

from __future__ import annotations

import math
import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from daguerre.params import GeneratedImage, ImageParams

_CELL_PX, _GAP_PX = 400, 28
_LINE_PX, _LINE_CHARS, _NUM_LINES = 22, 48, 3
_CAPTION_PX = _LINE_PX * (_NUM_LINES + 1) + _GAP_PX
_GROUND, _INK, _SOFT = (250, 251, 251), (18, 24, 31), (70, 81, 93)


class ContactSheet:
    """Thumbnails and captions, in the order in which the images were added."""

    def __init__(self) -> None:
        self._cells: list[tuple[Image.Image, Image.Image]] = []

    def add(self, image: GeneratedImage) -> None:
        """Adds the thumbnail of an image, its prompt and its seed."""
        thumbnail = Image.fromarray(image.pixels)
        thumbnail.thumbnail((_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS)
        self._cells.append((thumbnail, _caption(image.params)))

    def pixels(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8; each row is as high as its tallest thumbnail."""
        columns = min(len(self._cells), max(2, math.ceil(math.sqrt(len(self._cells)))))
        rows = [self._cells[i : i + columns] for i in range(0, len(self._cells), columns)]
        heights = [max(thumbnail.height for thumbnail, _ in row) for row in rows]
        width = columns * (_CELL_PX + _GAP_PX) + _GAP_PX
        size = (width, sum(heights) + len(rows) * _CAPTION_PX + _GAP_PX)
        sheet = Image.new("RGB", size, _GROUND)
        bottom = _GAP_PX
        for row, height in zip(rows, heights, strict=True):
            bottom += height
            for column, (thumbnail, caption) in enumerate(row):
                left = _GAP_PX + column * (_CELL_PX + _GAP_PX)
                sheet.paste(thumbnail, (left, bottom - thumbnail.height))
                sheet.paste(caption, (left, bottom))
            bottom += _CAPTION_PX
        return np.asarray(sheet, np.uint8)


def _caption(params: ImageParams) -> Image.Image:
    """The prompt, shortened to three lines that fit into the cell, and the seed."""
    caption = Image.new("RGB", (_CELL_PX, _CAPTION_PX), _GROUND)
    draw, font = ImageDraw.Draw(caption), ImageFont.load_default(16)
    wrapped = (
        textwrap.wrap(params.prompt, num_chars, max_lines=_NUM_LINES, placeholder="...")
        for num_chars in range(_LINE_CHARS, 3, -1)
    )
    lines = next(lines for lines in wrapped if max(map(font.getlength, lines)) <= _CELL_PX)
    tops = range(_LINE_PX // 2, _CAPTION_PX, _LINE_PX)
    for top, line in zip(tops, lines, strict=False):
        draw.text((0, top), line, _INK, font)
    draw.text((0, tops[len(lines)]), f"seed {params.seed}", _SOFT, font)
    return caption
