"""The body of a successful image generation."""

from __future__ import annotations

import json


def images_response(created: int, b64_json: bytes) -> bytes:
    """Body with an image. Base64 needs no escaping, so megabytes skip the JSON encoder."""
    return _images_response(created, b"b64_json", b64_json)


def link_response(created: int, url: str) -> bytes:
    """Body with the URL of an image."""
    return _images_response(created, b"url", json.dumps(url)[1:-1].encode("ascii"))


def _images_response(created: int, name: bytes, value: bytes) -> bytes:
    head = b'{"created":%d,"data":[{"%s":"' % (created, name)
    return b"".join((head, value, b'","revised_prompt":""}]}'))
