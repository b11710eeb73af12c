"""The decoder: draws the fields of a scene as pixels, as a network that the engine can run.

It has no trained weights; `drawing` does the work.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import cast

import numpy as np
import PIL
from numpy.typing import NDArray

from daguerre.engine.forward import Inputs, Outputs
from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import SHAPES, render


class SceneDecoder:
    """Draws scenes; implements `daguerre.engine.forward.Network`.

    Inputs: tokens (R, F) int64 without masks, layout (R, 2) int64 (seed and palette), and one
    `shape` for all rows, an index into `SHAPES`. Output: pixels (R, height, width, 3) uint8.
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
        rows = zip(np.asarray(inputs["tokens"]), np.asarray(inputs["layout"]).tolist(), strict=True)
        return (np.stack([picture(tokens, shape, *layout) for tokens, layout in rows]),)


def picture(
    tokens: NDArray[np.int64], shape: int, seed: int, palette: int, scale: int = 1
) -> Pixels:
    """Draws tokens (F,), with the shape's width and height divided by `scale`."""
    width, height = SHAPES[shape]
    scene = fields.decode(tokens, (width, height), seed, palette)
    return render(scene, width // scale, height // scale)
