"""The body of a successful image generation."""

from __future__ import annotations

import json


def images_response(created: int, b64_json: bytes) -> bytes:
    """Body with an image. Base64 needs no escaping, so megabytes skip the JSON encoder."""
    return b'{"created":%d,"data":[{"b64_json":"%s","revised_prompt":""}]}' % (created, b64_json)


def url_response(created: int, url: str) -> bytes:
    """Body with the URL of an image."""
    data = [{"url": url, "revised_prompt": ""}]
    return json.dumps({"created": created, "data": data}, separators=(",", ":")).encode("ascii")
