"""The decoder: draws the fields of a scene as pixels, as a network that the engine can run.

It has no trained weights; `drawing` does the work.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import version
from typing import cast

import numpy as np
import PIL
from numpy.typing import NDArray

from daguerre.engine.forward import Inputs, Outputs
from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import SHAPES, render
from daguerre.models.embedded.quoted_words import MAX_CHARACTERS


class SceneDecoder:
    """Draws scenes; implements `daguerre.engine.forward.Network`.

    Inputs: tokens (R, F) int64 without masks, layout (R, 2) int64 (seed and palette), words (R, 80)
    int64 (code points, then zeros), and one `shape` for all rows, an index into `SHAPES`. Output:
    pixels (R, height, width, 3) uint8.
    """

    name = "decoder"

    def __init__(self, weights_sha256: str) -> None:
        runtimes = (
            f"thorvg {version('thorvg-python')}",
            f"python {platform.python_version()}",
            f"numpy {np.__version__}",
            f"pillow {PIL.__version__}",
            platform.machine(),
        )
        self.fingerprint = " ".join((weights_sha256, "decoder", *runtimes))

    def __call__(self, inputs: Inputs) -> Outputs:
        shape = cast(int, inputs["shape"])
        rows = zip(
            np.asarray(inputs["tokens"]),
            np.asarray(inputs["layout"]).tolist(),
            map(words_from, np.asarray(inputs["words"])),
            strict=True,
        )
        return (
            np.stack(
                [
                    picture(tokens, shape, seed, palette, words)
                    for tokens, (seed, palette), words in rows
                ]
            ),
        )


def picture(
    tokens: NDArray[np.int64], shape: int, seed: int, palette: int, words: str, scale: int = 1
) -> Pixels:
    """Draws tokens (F,) and words, with the shape's width and height divided by `scale`."""
    width, height = SHAPES[shape]
    scene = fields.decode(tokens, (width, height), seed, palette)
    scene = replace(scene, words=words)
    return render(scene, width // scale, height // scale)


def code_points(words: str) -> NDArray[np.int64]:
    """Words as a row of the decoder's input, (1, 80)."""
    row = np.zeros((1, MAX_CHARACTERS), np.int64)
    row[0, : len(words)] = [ord(char) for char in words]
    return row


def words_from(row: NDArray[np.int64]) -> str:
    return "".join(map(chr, row[row > 0].tolist()))
