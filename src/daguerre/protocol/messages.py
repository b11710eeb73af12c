"""Text of error messages: quoted client values and suggestions for misspelled names."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection

MAX_QUOTED_CHARS = 60
# A longer name is not a typo, and the client would control the cost of the comparison.
MAX_SUGGESTION_CHARS = 40


def suggestion(name: str, known: Collection[str]) -> str:
    """`; did you mean '...'?` if a known name is close, else an empty string."""
    if len(name) > MAX_SUGGESTION_CHARS:
        return ""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return f"; did you mean '{near[0]}'?" if near else ""


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
