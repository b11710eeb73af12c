"""Speed and file size of PNG and JPEG encoders.

    python bench/encoding.py            time every installed encoder in one run
    python bench/encoding.py --digest   print one digest per compressor, to compare machines
    python bench/encoding.py --addresses  count different outputs over threads and addresses

The test images are an illustration with soft gradients and a city with sharp edges, with and
without noise of one level, as in a network's output. Missing encoders are listed; install them with
`pip install deflate fpng isal opencv-python-headless pyvips pyvips-binary`.
"""

from __future__ import annotations

import hashlib
import io
import platform
import statistics
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from zlib_ng import zlib_ng

from daguerre.imagefile.encoding import encode
from daguerre.params import GeneratedImage, ImageParams, ModelInfo

Pixels = NDArray[np.uint8]  # (H, W, 3)
Encoder = Callable[[Pixels], bytes]
Built = TypeVar("Built")
SIDE_PX = 1024
NUM_RUNS = 15
WAVES = (0.05, 0.02, 0.006), (7, 23, 80)  # amplitude and frequency of a ridge's waves


def illustration(noise: int) -> Pixels:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    picture = np.array([90, 150, 220]) + np.array([160, 60, -40]) * y[..., None]
    glow = np.clip(1.5 - np.hypot(x - 0.7, y - 0.3) / 0.05, 0, 1)[..., None]
    picture += (np.array([255, 245, 200]) - picture) * glow
    for i in range(5):
        phase = rng.uniform(0, 6.28, 3)
        ridge = (
            0.45
            + 0.1 * i
            + sum(a * np.sin(f * x[0] + p) for a, f, p in zip(*WAVES, phase, strict=True))
        )
        colour = np.array([60, 100, 120]) * (1 - 0.16 * i) + np.array([10, 60, 30]) * 0.16 * i
        below = (y - ridge)[..., None]
        picture = np.where(below > 0, colour + 50 * below, picture)
    for _ in range(12):
        x0, y0, radius = rng.uniform(0, 1), rng.uniform(0.5, 1), rng.uniform(0.01, 0.06)
        inside = np.clip((radius - np.hypot(x - x0, y - y0)) * SIDE_PX + 0.5, 0, 1)[..., None]
        picture += (rng.uniform(20, 230, 3) - 200 * (y - y0)[..., None] - picture) * inside
    return rounded(picture, noise)


def city(noise: int) -> Pixels:
    rng = np.random.default_rng(3)
    picture = np.zeros((SIDE_PX, SIDE_PX, 3)) + np.linspace(40, 200, SIDE_PX)[:, None, None]
    for _ in range(60):
        x, width, top = rng.integers(0, 980), rng.integers(10, 90), rng.integers(200, 900)
        picture[top:, x : x + width] = rng.uniform(20, 200, 3)
        picture[top + 8 :: 24, x + 4 : x + width : 12] = 240
    return rounded(picture, noise)


def rounded(picture: NDArray[np.float64], noise: int) -> Pixels:
    steps = np.random.default_rng(5).integers(-noise, noise + 1, picture.shape)
    return np.clip(np.rint(picture) + steps, 0, 255).astype(np.uint8)


def daguerre(output_format: str) -> Encoder:
    params = ImageParams("bench", "a red fox", seed=1, output_format=output_format)
    info = ModelInfo("bench", "0" * 64, created=0)
    return lambda pixels: encode(GeneratedImage(pixels, params, info), with_prompt=True)


def pillow(format: str, **options: object) -> Encoder:
    def save(pixels: Pixels) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format, **options)
        return file.getvalue()

    return save


def up(pixels: Pixels) -> Pixels:
    rows = pixels.reshape(len(pixels), -1)
    above = np.vstack((np.zeros_like(rows[:1]), rows[:-1]))
    return np.insert(rows - above, 0, 2, axis=1)


def sub(pixels: Pixels) -> Pixels:
    left = np.hstack((np.zeros_like(pixels[:, :1]), pixels[:, :-1]))
    return np.insert((pixels - left).reshape(len(pixels), -1), 0, 1, axis=1)


def written(filtered: Callable[[Pixels], Pixels], compress: Callable[[bytes], bytes]) -> Encoder:
    """A minimal PNG encoder with the given filter and compressor."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    def write(pixels: Pixels) -> bytes:
        header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
        data = compress(filtered(pixels).tobytes())
        parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    return write


def opencv(cv2: Any) -> Encoder:
    cv2.setNumThreads(1)
    level = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return lambda pixels: bytes(cv2.imencode(".png", pixels[..., ::-1], level)[1])


def libvips(pyvips: Any) -> Encoder:
    def save(pixels: Pixels) -> bytes:
        height, width, bands = pixels.shape
        image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, "uchar")
        return bytes(image.pngsave_buffer(compression=1, filter="up"))

    return save


def installed(optional: dict[str, tuple[str, Callable[[Any], Built]]]) -> dict[str, Built]:
    """The encoders whose module is installed, by name."""
    found = {}
    for name, (module, build) in optional.items():
        try:
            found[name] = build(import_module(module))
        except ImportError:
            print(f"missing: {name} ({module})", file=sys.stderr)
    return found


def candidates() -> dict[str, Encoder]:
    found: dict[str, Encoder] = {
        "Pillow level 1": pillow("PNG", compress_level=1),
        "daguerre png": daguerre("png"),
        "daguerre jpeg": daguerre("jpeg"),
        "Pillow jpeg 4:2:0": pillow("JPEG", quality=90, subsampling="4:2:0"),
        "Pillow jpeg 4:4:4 optimised": pillow("JPEG", quality=90, subsampling=0, optimize=True),
        "zlib-ng 1, Up": written(up, lambda data: zlib_ng.compress(data, 1)),
        "zlib-ng 2, Sub": written(sub, lambda data: zlib_ng.compress(data, 2)),
        "zlib-ng 3, Up": written(up, lambda data: zlib_ng.compress(data, 3)),
    }
    optional: dict[str, tuple[str, Callable[[Any], Encoder]]] = {
        "fpng": ("fpng", lambda fpng: lambda pixels: bytes(fpng.from_ndarray(pixels))),
        "OpenCV level 1": ("cv2", opencv),
        "libvips level 1, Up": ("pyvips", libvips),
        "isal 1, Up": ("isal.isal_zlib", lambda z: written(up, lambda d: z.compress(d, 1))),
        "libdeflate 1, Up": ("deflate", lambda z: written(up, lambda d: z.zlib_compress(d, 1))),
    }
    return found | installed(optional)


def median_ms(encoder: Encoder, pixels: Pixels) -> float:
    times = []
    for _ in range(NUM_RUNS):
        start = time.perf_counter()
        encoder(pixels)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def print_table() -> None:
    pictures = {
        "illustration": illustration(0),
        "illustration ±1": illustration(1),
        "city": city(0),
        "city ±1": city(1),
    }
    encoders = candidates()
    print(f"{SIDE_PX}x{SIDE_PX}, median of {NUM_RUNS}, {platform.machine()}, size in kB\n")
    print("| | " + " | ".join(f"{name} ms | size" for name in pictures) + " |")
    print("|---" * (1 + 2 * len(pictures)) + "|")
    for name, encoder in encoders.items():
        cells = []
        for pixels in pictures.values():
            data = encoder(pixels)
            if data.startswith(b"\x89PNG"):
                assert (np.asarray(Image.open(io.BytesIO(data))) == pixels).all(), name
            cells += [f"{median_ms(encoder, pixels):.1f}", f"{len(data) / 1000:.0f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    found: dict[str, Callable[[bytes], bytes]] = {
        f"zlib-ng {level}": partial(zlib_ng.compress, level=level) for level in (1, 2, 3)
    }
    optional: dict[str, tuple[str, Callable[[Any], Callable[[bytes], bytes]]]] = {
        "isal 1": ("isal.isal_zlib", lambda isal: partial(isal.compress, level=1)),
        "libdeflate 1": (
            "deflate",
            lambda deflate: lambda data: deflate.zlib_compress(data, 1),
        ),
    }
    return found | installed(optional)


def print_digests() -> None:
    pictures = [up(picture(noise)[:256]) for picture in (illustration, city) for noise in (0, 1, 9)]
    for name, compress in compressors().items():
        digest = hashlib.sha256()
        for picture in pictures:
            digest.update(compress(picture.tobytes()))
        print(f"{name}: {digest.hexdigest()[:16]}")


def print_addresses() -> None:
    """Count outputs that differ from the usual one of their image; the seed promise needs zero.

    Each thread has its own memory, so run it several times.
    """
    pictures = [illustration(0)[:, : SIDE_PX - 32 * i] for i in range(12)]
    pictures += [city(0)[:, : SIDE_PX - 32 * i] for i in range(12)]
    for name, compress in compressors().items():
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda p, c=compress: bytes(c(up(p).tobytes())), pictures * 20))
        usual = [Counter(answers[i :: len(pictures)]).most_common(1) for i in range(len(pictures))]
        odd = len(answers) - sum(count for ((_, count),) in usual)
        print(f"{name}: {odd} of {len(answers)} answers differ from those of the same picture")


def main(arguments: Sequence[str]) -> None:
    if "--digest" in arguments:
        print_digests()
    elif "--addresses" in arguments:
        print_addresses()
    else:
        print_table()


if __name__ == "__main__":
    main(sys.argv[1:])
