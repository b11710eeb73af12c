"""The contact sheet: thumbnails of all images of a run, each with its prompt and seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from daguerre.params import GeneratedImage

_CELL_PX, _GAP_PX, _LINE_PX, _NUM_LINES = 400, 28, 22, 3
_GROUND, _INK, _SOFT = (250, 251, 251), (18, 24, 31), (70, 81, 93)


class ContactSheet:
    def __init__(self) -> None:
        self._pictures: list[tuple[Image.Image, str, int]] = []
        self._font = ImageFont.load_default(16)

    def add(self, image: GeneratedImage) -> None:
        small = Image.fromarray(image.pixels)
        small.thumbnail((_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS)
        self._pictures.append((small, image.params.prompt, image.params.seed))

    def pixels(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8; each row is as high as its tallest thumbnail."""
        columns = min(len(self._pictures), max(2, math.ceil(math.sqrt(len(self._pictures)))))
        rows = [self._pictures[i : i + columns] for i in range(0, len(self._pictures), columns)]
        heights = [max(picture.height for picture, _, _ in row) for row in rows]
        below = _LINE_PX * (_NUM_LINES + 1) + _GAP_PX
        size = (
            columns * (_CELL_PX + _GAP_PX) + _GAP_PX,
            sum(heights) + len(rows) * below + _GAP_PX,
        )
        sheet = Image.new("RGB", size, _GROUND)
        top = _GAP_PX
        for row, height in zip(rows, heights, strict=True):
            self._draw(sheet, row, top, height)
            top += height + below
        return np.asarray(sheet, np.uint8)

    def _draw(
        self, sheet: Image.Image, row: list[tuple[Image.Image, str, int]], top: int, height: int
    ) -> None:
        draw = ImageDraw.Draw(sheet)
        for place, (picture, prompt, seed) in enumerate(row):
            left = _GAP_PX + place * (_CELL_PX + _GAP_PX)
            sheet.paste(picture, (left, top + height - picture.height))
            y = top + height + _LINE_PX // 2
            for line in self._lines(prompt):
                draw.text((left, y), line, _INK, self._font)
                y += _LINE_PX
            draw.text((left, y), f"seed {seed}", _SOFT, self._font)

    def _lines(self, prompt: str) -> list[str]:
        """The prompt in lines that fit; a longer one ends in an ellipsis."""
        lines = [""]
        words = prompt.split()
        while words:
            longer = f"{lines[-1]} {words[0]}".strip()
            if self._font.getlength(longer) <= _CELL_PX:
                lines[-1] = longer
                words.pop(0)
            elif not lines[-1]:
                words[0:1] = self._halves(words[0])
            elif len(lines) < _NUM_LINES:
                lines.append("")
            else:
                lines[-1] = self._shortened(lines[-1])
                break
        return lines

    def _halves(self, word: str) -> list[str]:
        """Splits a word that is wider than a line."""
        fits = len(word) - 1
        while fits > 1 and self._font.getlength(word[:fits]) > _CELL_PX:
            fits = fits * 3 // 4
        return [word[:fits], word[fits:]]

    def _shortened(self, line: str) -> str:
        while line and self._font.getlength(f"{line}...") > _CELL_PX:
            line = line[:-1]
        return f"{line}..."
