"""Values that cross between the server and an engine: plain, frozen and picklable.

`ImageParams` and `JobContext` go in. A stream of events comes out: `JobQueued`, `StepCompleted`,
then `JobSucceeded` or `JobFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

# How requests share a forward: only if verified bit-identical, or whenever it is faster.
BatchingMode: TypeAlias = Literal["exact", "throughput"]
BATCHING_MODES: tuple[BatchingMode, ...] = ("exact", "throughput")

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
DEFAULT_COMPRESSION_QUALITY = 90


@dataclass(frozen=True, slots=True)
class ImageParams:
    """Parameters of one image, validated and with every default resolved.

    `width` and `height` are one of `SIZES` or of the model's extra sizes, in pixels. `seed` is 1 to
    `MAX_SEED`; a random seed is already drawn. `output_format` is a key of
    `daguerre.imagefile.encoding.FORMATS`. `compression_quality` is 0 to 100 and applies to lossy
    formats only. `num_previews` is 0 to `MAX_PREVIEWS`; it does not affect the image, so equality
    ignores it.
    """

    model: str
    prompt: str
    negative_prompt: str = ""
    width: int = 1024
    height: int = 1024
    seed: int = 1
    output_format: str = "png"
    compression_quality: int = DEFAULT_COMPRESSION_QUALITY
    num_previews: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class JobContext:
    """Context of one request that does not affect the image: tenant, request ID, deadline.

    Tenants share the engine fairly, however many requests each sends. The engine rejects the job at
    submission if it probably cannot end within `timeout_s`; the caller enforces the deadline. With
    `wants_progress`, the queue position is reported whenever it changes, not only once.
    """

    tenant: str = ""
    request_id: str = ""
    timeout_s: float | None = None
    wants_progress: bool = False

    @property
    def log_hint(self) -> str:
        """Where the cause of a failure is. The Python API has no request IDs."""
        request = f"request ID {self.request_id} in the server's " if self.request_id else "the "
        return f"see {request}log"


DEFAULT_CONTEXT = JobContext()


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall time of one request in each stage of the engine, in milliseconds."""

    queue_ms: float = 0.0
    encode_ms: float = 0.0
    denoise_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of a served model, for image metadata and `GET /v1/models`.

    `id` is what clients send as `model`; `name` is the checkpoint behind it and may differ.
    `max_prompt_tokens` counts what the pipeline adds, too; None if only characters are limited.
    `extra_sizes`, such as "512x512", are accepted besides `SIZES`. `drawn_sizes` maps the sizes of
    images that the model draws smaller, and enlarges, to those in which it draws them. `options`
    names all options of the catalog, which decide the image together with the weights. If other
    machines make the images, `fingerprint` is what decides their bits there.
    """

    id: str
    weights_sha256: str
    created: int  # Unix time at which the weights were created
    description: str = ""
    name: str = ""
    batching: BatchingMode = "exact"
    max_prompt_tokens: int | None = None
    extra_sizes: tuple[str, ...] = ()
    drawn_sizes: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedImage:
    """Pixels (height, width, 3) uint8, sRGB, with the parameters and model that produced them.

    An engine on another machine sends the encoded `file` instead; `pixels` are then (0, 0, 3).
    """

    pixels: NDArray[np.uint8]
    params: ImageParams
    model_info: ModelInfo
    timings: Timings = field(default_factory=Timings)
    file: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class JobQueued:
    """The job is queued behind `position` other jobs; sent again when the position falls."""

    position: int


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """Denoising step `index` (1-based) of `total` is complete.

    `preview` is the estimated image at this step, (h, w, 3) uint8 and smaller than the image, if
    one is due.
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
    """The last event of a job that failed; `error` is a `DaguerreError`."""

    error: Exception


Event: TypeAlias = JobQueued | StepCompleted | JobSucceeded | JobFailed
