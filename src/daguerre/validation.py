"""Validators: the rule for one value, for settings (text) and catalog keys (TOML values).

A rule completes the sentence "it must be ...". Nothing here touches the disk.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from daguerre.errors import SettingsError

Table: TypeAlias = Mapping[str, Any]
# A longer name is not a typo, and the client would control the cost of the comparison.
MAX_SUGGESTION_CHARS = 40


@dataclass(frozen=True, slots=True)
class Validator:
    """The rule for one value: `accepts` checks a typed value, `convert` makes one from text."""

    rule: str
    accepts: Callable[[Any], bool]
    convert: Callable[[str], Any] = str
    allowed: str = ""  # the range or the values, for help texts

    def parse(self, text: str) -> Any:
        """The value of `text`. Raises `ValueError` with the rule."""
        try:
            value = self.convert(text)
        except (ValueError, KeyError):
            raise ValueError(self.rule) from None
        if not self.accepts(value):
            raise ValueError(self.rule)
        return value


def int_range(low: int, high: int) -> Validator:
    return Validator(
        f"an integer from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
        int,
        f"{low} to {high}",
    )


def float_range(low: float, high: float) -> Validator:
    return Validator(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
        float,
        f"{low:g} to {high:g}",
    )


def enum(*allowed: str) -> Validator:
    """One of these words in lower case; text may have capitals."""
    rule = f"one of {', '.join(allowed)}"
    return Validator(
        rule, lambda value: isinstance(value, str) and value in allowed, str.lower, rule
    )


def pattern(regex: str, rule: str) -> Validator:
    compiled = re.compile(regex)
    return Validator(rule, lambda value: isinstance(value, str) and bool(compiled.fullmatch(value)))


_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True)
_BOOLEANS |= dict.fromkeys(("false", "f", "no", "n", "off", "0"), False)
boolean = Validator(
    "true or false", lambda value: type(value) is bool, lambda text: _BOOLEANS[text.lower()]
)
text = Validator("text", lambda value: isinstance(value, str))
_PATH = re.compile(r"""(?!".*"$|'.*'$)[^\x00-\x1f\x7f]+""")  # `docker --env-file` keeps quotes


def _path(text: str) -> Path:
    if not _PATH.fullmatch(text):
        raise ValueError(text)
    return Path(os.path.expanduser(text))  # `Path.expanduser` raises for an unknown user


path = Validator(
    "a path, without quotation marks around it and without control characters",
    lambda value: isinstance(value, Path),
    _path,
)
host = pattern(r"[^\s/]+", "a host name or an IP address, such as 127.0.0.1 or 0.0.0.0")
secret = pattern(r"(?s:.{32,})?", "at least 32 characters long")
directory_or_bucket = pattern(
    rf"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[^\s?#]*)?|(?!.*://)({_PATH.pattern})?",
    "a directory, or a bucket such as s3://bucket/prefix",
)


def _is_base_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # checked when it is read
    except ValueError:
        return False
    is_plain = value.isprintable() and not re.search(r"[\s?#@]", value)
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_origin(value: str) -> bool:
    return value == "*" or (
        _is_base_url(value) and value == value.lower() and not urlsplit(value).path
    )


url = Validator(
    "an address that begins with http:// or https://, with a host and no ? or #, such as"
    " https://images.example.com",
    lambda value: not value or _is_base_url(value),
)
origins = Validator(
    "* or origins separated by commas, without paths, such as https://app.example.com",
    lambda value: not value or all(map(_is_origin, value.split(","))),
    lambda text: ",".join(origin.strip() for origin in text.split(",") if origin.strip()),
)


def check_table(where: str, table: Table, validators: Mapping[str, Validator]) -> None:
    """Raises `SettingsError` for an unknown key or a value against the rule of its key."""
    check_keys(where, table, validators)
    for key, value in table.items():
        if not validators[key].accepts(value):
            raise SettingsError(f"{where}: {key} is {value!r}; it must be {validators[key].rule}")


def check_keys(where: str, table: Table, allowed: Collection[str]) -> None:
    """Raises `SettingsError` for an unknown key."""
    for key in table:
        if key not in allowed:
            hint = suggestion(key, allowed) or f"; allowed: {', '.join(sorted(allowed))}"
            raise SettingsError(f"{where}: unknown key {key!r}{hint}")


def suggestion(name: str, known: Collection[str]) -> str:
    """`; did you mean '...'?` if a known name is close, else an empty string."""
    if len(name) > MAX_SUGGESTION_CHARS:
        return ""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return f"; did you mean '{near[0]}'?" if near else ""


def check_with(where: str, table: Table, other: str, key: str, allowed: Sequence[object]) -> None:
    """Raises `SettingsError` for a value of `key` (default: the first allowed one) that the key
    `other` rules out."""
    if table.get(key, allowed[0]) not in allowed:
        rule = " or ".join(map(repr, allowed))
        raise SettingsError(f"{where}: {key} is {table[key]!r}; with {other} it must be {rule}")
