"""What crosses the border between the server and an engine: plain, frozen, picklable values.

`ImageParams` and `JobContext` go in; a stream of events (`JobQueued`, `StepCompleted`, then
`JobSucceeded` or `JobFailed`) comes out. Knows nothing of HTTP, JSON, keys or base64, and imports
nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

OutputFormat: TypeAlias = Literal["png", "jpeg"]
# How requests share a forward: only where that is proved to change no bit, or wherever it pays.
BatchingMode: TypeAlias = Literal["exact", "throughput"]
BATCHING_MODES: tuple[BatchingMode, ...] = ("exact", "throughput")
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("png", "jpeg")

# Aspect ratio -> (width, height) in pixels; every size belongs to exactly one ratio.
SIZES: dict[str, tuple[int, int]] = {
    "16:9": (1344, 768),
    "1:1": (1024, 1024),
    "21:9": (1536, 640),
    "2:3": (832, 1216),
    "3:2": (1216, 832),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
DEFAULT_ASPECT_RATIO = "1:1"
MAX_PROMPT_CODE_POINTS = 10_000
MAX_SEED = 2**32 - 1
MAX_PREVIEWS = 3
DEFAULT_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class ImageParams:
    """One request, every value resolved: nothing downstream checks a user's value again.

    `width` and `height` are pixels and one of `SIZES`; `seed` is 1 to `MAX_SEED` (a random seed has
    been drawn before); `jpeg_quality` is 0 to 100 and matters for jpeg only. `num_previews` is 0 to
    `MAX_PREVIEWS`: a wish of whoever watches, which is no part of what makes the image, so that two
    requests that differ in it alone are equal.
    """

    model: str
    prompt: str
    negative_prompt: str = ""
    width: int = 1024
    height: int = 1024
    seed: int = 1
    output_format: OutputFormat = "png"
    jpeg_quality: int = DEFAULT_JPEG_QUALITY
    num_previews: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class JobContext:
    """For whom an image is made, under which id, and in what time: no part of what makes it.

    Owners take turns, however much each asks for. `timeout_s` counts from the moment at which the
    image is asked for; None for no end. `wants_progress` where the job's place in the queue is
    wanted as it changes, and not only once.
    """

    owner: str = ""
    request_id: str = ""
    timeout_s: float | None = None
    wants_progress: bool = False


DEFAULT_CONTEXT = JobContext()


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one request's time went inside the engine, in milliseconds of wall time."""

    queue_ms: float = 0.0
    encode_ms: float = 0.0
    denoise_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a served model says of itself; goes into provenance and GET /v1/models.

    `model` is the id that clients send; `name` is what really draws, and may differ from it.
    """

    model: str
    weights_sha256: str
    created: int  # unix seconds at which the weights were made; a fact of the weights, not a clock
    description: str = ""
    name: str = ""
    mode: BatchingMode = "exact"


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedImage:
    """Pixels (height, width, 3) uint8, sRGB, with the facts that made them."""

    pixels: NDArray[np.uint8]
    params: ImageParams
    model_info: ModelInfo
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class JobQueued:
    """The job was accepted, or fewer jobs are ahead of it than before: `position` of them."""

    position: int


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """Denoising step `index` (1-based) of `total` has been done.

    `preview` is what the image looked like at this step or one before, (h, w, 3) uint8 and smaller
    than the image, where one was asked for and the model has drawn it by now.
    """

    index: int
    total: int
    preview: NDArray[np.uint8] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class JobSucceeded:
    """The last event of a job that succeeded."""

    image: GeneratedImage


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The last event of a job that failed; `error` is an exception of `daguerre.errors`."""

    error: Exception


Event: TypeAlias = JobQueued | StepCompleted | JobSucceeded | JobFailed
