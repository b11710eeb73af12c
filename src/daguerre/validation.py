"""How the text of a setting is read: each kind of value, and the words for what is allowed.

A function takes the text and returns the value, or raises a `ValueError` that goes on from "it must
be". Knows no setting, and touches no disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")


def boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"one of {', '.join(_TRUE + _FALSE)}")


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1.0
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse


def choice(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def path(text: str) -> Path:
    if not text:
        raise ValueError("a path")
    # Not Path.expanduser, which raises for a user whose home is not known.
    return Path(os.path.expanduser(text))


def host(text: str) -> str:
    if not text or any(character.isspace() for character in text) or "/" in text:
        raise ValueError("a host name or an IP address, such as 127.0.0.1 or 0.0.0.0")
    return text


def url(text: str) -> str:
    if text and not _is_base_url(text):
        raise ValueError(
            "an address that begins with http:// or https://, with a host and no ? or #,"
            " such as https://images.example.com"
        )
    return text


def origins(text: str) -> str:
    origins = [origin.strip() for origin in text.split(",") if origin.strip()]
    if not all(origin == "*" or _is_origin(origin) for origin in origins):
        raise ValueError(
            "* or origins with commas between them, such as https://app.example.com, which have no"
            " path"
        )
    return ",".join(origins)


def _is_origin(text: str) -> bool:
    return _is_base_url(text) and text == text.lower() and not urlsplit(text).path


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # the port is checked when it is read
    except ValueError:
        return False
    is_plain = text.isprintable() and not any(c.isspace() or c in "?#@" for c in text)
    return is_plain and parts.scheme in ("http", "https") and bool(host)


def secret(text: str) -> str:
    if text and len(text) < 32:
        raise ValueError("32 characters or more")
    return text


def files_url(text: str) -> str:
    if "://" in text and not _BUCKET.fullmatch(text):
        raise ValueError("a folder, or an address such as s3://bucket/prefix")
    return text
