"""Quoted client values, for error messages."""

from __future__ import annotations

import json

MAX_QUOTED_CHARS = 60


def quote_for_message(value: object) -> str:
    """`value` as JSON, truncated if it is long; for a container only its type."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= MAX_QUOTED_CHARS:
        return text
    size = f" ({len(value)} characters)" if isinstance(value, str) else ""
    return f"{text[:MAX_QUOTED_CHARS]}…{size}"
