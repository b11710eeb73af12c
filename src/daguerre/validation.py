"""Validators: the rule for one value, for settings (text) and catalog keys (TOML values).

A rule completes the sentence "it must be ...". Nothing here touches the disk.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
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


def table_list(max_length: int, example: str) -> Validator:
    """A list of tables; `check_tables` checks their keys."""
    return Validator(
        f"a list of 1 to {max_length} tables such as {example}",
        lambda value: (
            isinstance(value, list)
            and 1 <= len(value) <= max_length
            and all(isinstance(table, dict) for table in value)
        ),
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
printable_text = Validator(
    "text of printable characters",
    lambda value: isinstance(value, str) and value.isprintable() and bool(value.strip()),
)
_PATH = re.compile(r"""(?!".*"$|'.*'$)[^\x00-\x1f\x7f]+""")  # `docker --env-file` keeps quotes


def _expand_user(text: str) -> str:
    """The path with a home directory instead of ~. Raises `ValueError` for an unknown user."""
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise ValueError(text)
    return expanded


def _path(text: str) -> Path:
    if not _PATH.fullmatch(text):
        raise ValueError(text)
    return Path(_expand_user(text))


path = Validator(
    "a path, without quotation marks around it, control characters, and the ~ of an unknown user",
    lambda value: isinstance(value, Path),
    _path,
)


def path_to(what: str) -> Validator:
    """The path of such a thing, as text. With "~" after `expanduser`, it is an unknown user's."""
    return Validator(
        f"the path of {what}",
        lambda value: (
            printable_text.accepts(value) and not os.path.expanduser(value).startswith("~")
        ),
    )


host = pattern(r"[^\s/]+", "a host name or an IP address, such as 127.0.0.1 or 0.0.0.0")
MIN_SECRET_CHARS = 32
idle_time = float_range(0, 604_800)  # seconds
secret = pattern(rf"(?s:.{{{MIN_SECRET_CHARS},}})?", f"at least {MIN_SECRET_CHARS} characters long")
directory_or_bucket = replace(
    pattern(
        rf"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[^\s?#]*)?|(?!.*://)({_PATH.pattern})?",
        "a directory, or a bucket such as s3://bucket/prefix",
    ),
    convert=_expand_user,
)


# Apps and extensions have schemes of their own. Some custom schemes have the host "." or "-".
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]{1,253})(:(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEMES_WITHOUT_ORIGIN = ("about", "blob", "data", "file", "ftp", "javascript", "ws", "wss")
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
MAX_PORT = 65535


def _is_base_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # checked when it is read
    except ValueError:
        return False
    is_plain = value.isprintable() and not re.search(r"[\s?#@]", value)
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def parse_origin(text: str) -> str:
    """The origin as browsers send it, without a default port. Raises `ValueError`."""
    match = _ORIGIN.fullmatch(text.lower())
    if text in ("*", "null"):
        return text
    if not match or match["scheme"] in _SCHEMES_WITHOUT_ORIGIN:
        raise ValueError(text)
    scheme, host, port = match.group("scheme", "host", "port")
    if scheme in _DEFAULT_PORTS:
        host = _parse_host(host)
    if port is None or int(port) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    if int(port) > MAX_PORT:
        raise ValueError(text)
    return f"{scheme}://{host}:{int(port)}"


def _parse_host(text: str) -> str:
    """A name, an IPv4 address or an IPv6 address in brackets, as browsers write it."""
    if text.startswith("["):
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    if _NUMERIC_LABEL.fullmatch(text.removesuffix(".").rpartition(".")[2]):
        return str(ipaddress.IPv4Address(text))  # browsers read such a name as an address
    if not _HOST_NAME.fullmatch(text):
        raise ValueError(text)
    return text


url = Validator(
    "an address that begins with http:// or https://, with a host and no ? or #, such as"
    " https://images.example.com",
    lambda value: not value or _is_base_url(value),
)
path_prefix = Validator(
    "a path that begins with / and has letters, digits and . _ ~ -, such as /images",
    lambda value: isinstance(value, str) and bool(re.fullmatch(r"(/[\w.~-]+)*", value, re.ASCII)),
    lambda text: text.rstrip("/"),
)


def _parse_network(text: str) -> str:
    """A network; IPv4 in IPv6 is IPv4, as for the addresses of clients."""
    network = ipaddress.ip_network(text.strip())
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped and network.prefixlen >= _MAPPED_PREFIX_BITS:
        return str(ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_PREFIX_BITS)))
    return str(network)


_MAPPED_PREFIX_BITS = 96  # RFC 4291, 2.5.5.2
networks = Validator(
    "IP addresses or networks separated by commas, such as 127.0.0.1,10.0.0.0/8",
    lambda value: isinstance(value, str),
    lambda text: ",".join(_parse_network(part) for part in text.split(",") if part.strip()),
)
origins = Validator(
    "* or origins separated by commas, as browsers send them: a scheme, a host without wildcards"
    " (in Punycode if it is not ASCII) and a port, such as https://app.example.com or"
    " tauri://localhost; pages from files have the origin null",
    lambda value: isinstance(value, str),
    lambda text: ",".join(parse_origin(part.strip()) for part in text.split(",") if part.strip()),
)


def check_table(where: str, table: Table, validators: Mapping[str, Validator]) -> None:
    """Raises `SettingsError` for an unknown key or a value against the rule of its key."""
    check_keys(where, table, validators)
    for key, value in table.items():
        if not validators[key].accepts(value):
            raise SettingsError(f"{where}: {key} is {value!r}; it must be {validators[key].rule}")


def check_tables(
    where: str,
    tables: Sequence[Table],
    validators: Mapping[str, Validator],
    required: Sequence[str],
) -> None:
    """Like `check_table` for each table of a list; raises also if it lacks a key."""
    for number, table in enumerate(tables):
        place = f"{where}[{number}]"
        check_table(place, table, validators)
        for key in required:
            if key not in table:
                raise SettingsError(f"{place}: {key} is missing; it must be {validators[key].rule}")


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
