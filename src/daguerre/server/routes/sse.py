"""Server-sent events with the names and fields of OpenAI's image streams.

Clients ignore comment lines; they report progress and keep the connection open.
"""

from __future__ import annotations

import json
import time

from daguerre.errors import DaguerreError
from daguerre.params import ImageParams
from daguerre.server.http.errors import error_body

MEDIA_TYPE = "text/event-stream"
PARTIAL_IMAGE = "image_generation.partial_image"
COMPLETED = "image_generation.completed"
ERROR = "error"
# Values of OpenAI's events. Requests may have others, which are ignored, too.
QUALITIES = ("low", "medium", "high", "xhigh", "max", "auto")
BACKGROUND = "opaque"
# Required by OpenAI's clients; this server counts no tokens.
USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


def image_event(
    name: str, params: ImageParams, quality: str | None, b64_json: bytes, **extra: object
) -> bytes:
    """A preview or the image. `quality` is that of the request, `extra` has fields of `name`."""
    fields = {
        "created_at": int(time.time()),
        "size": f"{params.width}x{params.height}",
        "quality": quality if quality in QUALITIES else "auto",
        "background": BACKGROUND,
        "output_format": params.output_format,
        **extra,
    }
    # Base64 needs no escaping, so megabytes skip the JSON encoder.
    head = f'{{"type":"{name}","b64_json":"'.encode("ascii")
    rest = json.dumps(fields, separators=(",", ":"))[1:].encode("ascii")
    return _event(name, head + b64_json + b'",' + rest)


def failed(error: DaguerreError) -> bytes:
    return _event(ERROR, error_body(error))


def comment(text: str) -> bytes:
    return f": {text}\n\n".encode("ascii")


def _event(name: str, data: bytes) -> bytes:
    return b"".join((b"event: ", name.encode("ascii"), b"\ndata: ", data, b"\n\n"))
