"""Server-sent events as OpenAI's clients read them: their names, their fields, their bytes.

Comments are lines that every client skips; they tell progress to whoever looks, and keep the
connection alive. Knows nothing of engines, or of when what is sent.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from daguerre.errors import DaguerreError
from daguerre.params import ImageParams
from daguerre.server.http.errors import error_body

MEDIA_TYPE = "text/event-stream"
PARTIAL_IMAGE = "image_generation.partial_image"
COMPLETED = "image_generation.completed"
ERROR = "error"
# The words of OpenAI's events; requests may have others, which mean nothing here either.
QUALITIES = ("low", "medium", "high", "xhigh", "max", "auto")
BACKGROUND = "opaque"
# OpenAI's clients want it; here nothing is counted in tokens.
USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


@dataclass(frozen=True, slots=True)
class EventMetadata:
    """What every event of a stream says beside its image: what was asked for."""

    size: str
    output_format: str
    quality: str

    @classmethod
    def of(cls, params: ImageParams, quality: str | None) -> EventMetadata:
        quality = quality if quality in QUALITIES else "auto"
        return cls(f"{params.width}x{params.height}", params.output_format, str(quality))


def partial_image(facts: EventMetadata, b64_json: bytes, index: int) -> bytes:
    return _image_event(PARTIAL_IMAGE, facts, b64_json, {"partial_image_index": index})


def completed(facts: EventMetadata, b64_json: bytes) -> bytes:
    return _image_event(COMPLETED, facts, b64_json, {"usage": USAGE})


def failed(error: DaguerreError) -> bytes:
    return _event(ERROR, error_body(error))


def comment(words: str) -> bytes:
    return f": {words}\n\n".encode("ascii")


def _image_event(
    name: str, facts: EventMetadata, b64_json: bytes, others: dict[str, object]
) -> bytes:
    fields = {
        "created_at": int(time.time()),
        "size": facts.size,
        "quality": facts.quality,
        "background": BACKGROUND,
        "output_format": facts.output_format,
        **others,
    }
    # Base64 needs no escaping, so megabytes need no JSON encoder.
    head = f'{{"type":"{name}","b64_json":"'.encode("ascii")
    rest = json.dumps(fields, separators=(",", ":"))[1:].encode("ascii")
    return _event(name, head + b64_json + b'",' + rest)


def _event(name: str, data: bytes) -> bytes:
    return b"".join((b"event: ", name.encode("ascii"), b"\ndata: ", data, b"\n\n"))
