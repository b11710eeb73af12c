"""Pictures as a terminal takes them: kitty's, iTerm2's and sixel escape codes.

Sources: sw.kovidgoyal.net/kitty/graphics-protocol, iterm2.com/documentation-images.html, and the
VT340's sixels (vt100.net/docs/vt3xx-gp/chapter14.html). Looked at on the screens of kitty 0.26 and
xterm 379 (tests/commands/test_screen.py). Knows nothing of which terminal is there, nor of the
cursor's place.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Protocol: TypeAlias = Literal["kitty", "iterm", "sixel"]
# One picture is shown at a time; under the same id the next replaces it.
_KITTY_ID = 1839
_KITTY_CHUNK = 4096
_NUM_COLOURS = 255  # of the 256 registers that every terminal with sixels has; one is the ground's
_SIXEL_ROWS = 6


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a picture: cells of the terminal, and the size of one in pixels."""

    columns: int
    rows: int
    cell_px: tuple[int, int]

    @property
    def size_px(self) -> tuple[int, int]:
        return self.columns * self.cell_px[0], self.rows * self.cell_px[1]


def encoded(protocol: Protocol, pixels: NDArray[np.uint8], box: Box) -> str:
    """The codes that draw pixels (h, w, 3) uint8 at the cursor, filling the box."""
    image = Image.fromarray(pixels)
    if protocol == "sixel":
        return _sixel(image.resize(box.size_px, Image.Resampling.LANCZOS))
    if image.width > box.size_px[0]:  # a terminal far away need not be sent more than it shows
        image = image.resize(box.size_px, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (_kitty if protocol == "kitty" else _iterm)(data, box)


def _kitty(data: str, box: Box) -> str:
    parts = [data[i : i + _KITTY_CHUNK] for i in range(0, len(data), _KITTY_CHUNK)]
    first = (
        f"a=T,f=100,i={_KITTY_ID},p=1,c={box.columns},r={box.rows},"
        "C=1,q=2,"  # the cursor stays, and nothing is answered
    )
    return "".join(
        f"\x1b_G{first if i == 0 else ''}m={int(i < len(parts) - 1)};{part}\x1b\\"
        for i, part in enumerate(parts)
    )


def _iterm(data: str, box: Box) -> str:
    size = len(base64.b64decode(data))
    return (
        f"\x1b]1337;File=inline=1;size={size};width={box.columns};height={box.rows};"
        f"preserveAspectRatio=1;doNotMoveCursor=1:{data}\x07"
    )


def _sixel(image: Image.Image) -> str:
    indexed = image.quantize(_NUM_COLOURS)
    flat = np.asarray(indexed.getpalette(), np.int64)
    palette = "".join(
        f"#{i};2;{red};{green};{blue}"
        for i, (red, green, blue) in enumerate((flat.reshape(-1, 3) * 100 + 127) // 255)
    )
    bands = "-".join(_bands(np.asarray(indexed, np.uint8)))
    return f'\x1bP0;1;0q"1;1;{image.width};{image.height}{palette}{bands}\x1b\\'


def _bands(indices: NDArray[np.uint8]) -> Iterator[str]:
    """Each band is six rows; each of its colours is drawn over it from the left again."""
    weights = (1 << np.arange(_SIXEL_ROWS))[:, None]
    for top in range(0, len(indices), _SIXEL_ROWS):
        band = indices[top : top + _SIXEL_ROWS]
        yield "$".join(
            f"#{colour}" + _runs(((band == colour) * weights[: len(band)]).sum(axis=0))
            for colour in np.unique(band)
        )


def _runs(bits: NDArray[np.int64]) -> str:
    """(w,) of 0 to 63, equal neighbours told once."""
    starts = np.flatnonzero(np.diff(bits, prepend=-1))
    lengths = np.diff(starts, append=len(bits))
    return "".join(
        f"!{length}{chr(63 + value)}" if length > 3 else chr(63 + value) * length
        for value, length in zip(bits[starts].tolist(), lengths.tolist(), strict=True)
    )
