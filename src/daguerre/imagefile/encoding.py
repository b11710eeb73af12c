"""Output formats, and the encoding of a generated image with its metadata.

The same image produces the same bytes: no clock, thread, address or dictionary order has an
influence. The compressors (zlib-ng, Pillow) have no fallback, because another compressor produces
another file. bench/LOG.md records which compressors are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daguerre.imagefile import jpeg, png, xmp
from daguerre.params import DEFAULT_COMPRESSION_QUALITY, GeneratedImage

if TYPE_CHECKING:
    from daguerre.imagefile.content_credentials import ContentCredentials


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """An output format; the first of `suffixes` is that of new files.

    `encode` takes pixels (height, width, 3) uint8, the quality (0 to 100), XMP properties, and
    those of the prompts, which are separate because they may be too long for one JPEG segment.
    """

    media_type: str
    suffixes: tuple[str, ...]
    is_lossy: bool
    encode: Callable[[NDArray[np.uint8], int, str, str], bytes]


# A new format needs a row here and a module with its encoder.
FORMATS: dict[str, ImageFormat] = {
    "png": ImageFormat("image/png", (".png",), is_lossy=False, encode=png.encode),
    "jpeg": ImageFormat("image/jpeg", (".jpg", ".jpeg"), is_lossy=True, encode=jpeg.encode),
}
SUFFIXES = tuple(suffix for kind in FORMATS.values() for suffix in kind.suffixes)


def format_of(path: str | Path) -> str | None:
    """The name of the format that has the suffix of `path`; None if no format has it."""
    suffix = Path(path).suffix.lower()
    return next((name for name, kind in FORMATS.items() if suffix in kind.suffixes), None)


def encode(
    image: GeneratedImage, *, with_prompt: bool, credentials: ContentCredentials | None = None
) -> bytes:
    """The file in the format of `image.params`, signed if there are `credentials`.

    It has the prompts only if `with_prompt` is set. A file that the engine has encoded is only
    signed.
    """
    kind = FORMATS[image.params.output_format]
    file = image.file or _encode(kind, image, with_prompt)
    return credentials.sign(file, kind.media_type, image.model_info) if credentials else file


def _encode(kind: ImageFormat, image: GeneratedImage, with_prompt: bool) -> bytes:
    params, pixels = image.params, image.pixels
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, (
        f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (height, width, 3). This is a bug."
    )
    return kind.encode(
        pixels,
        params.compression_quality,
        xmp.generation_metadata(image),
        xmp.prompt_metadata(params) if with_prompt else "",
    )


def encode_pixels(
    pixels: NDArray[np.uint8], output_format: str, quality: int = DEFAULT_COMPRESSION_QUALITY
) -> bytes:
    """The file of a preview or a contact sheet: marked as AI-generated, no other metadata."""
    return FORMATS[output_format].encode(pixels, quality, xmp.ai_marker(), "")
