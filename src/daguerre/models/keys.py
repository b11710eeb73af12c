"""The keys of a table: what the value of each may be, and how a wrong one is told.

A `Key` is a check and its words. A `SettingsError` names where the table stands, the key, and what
is allowed. Knows nothing of files, models or what a key means.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from daguerre.errors import SettingsError

Table: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[Callable[[Any], bool], str]


def check(where: str, table: Table, keys: Mapping[str, Key]) -> None:
    """No other keys than these, and no value that one of them may not have."""
    check_names(where, table, keys)
    for key, value in table.items():
        is_allowed, words = keys[key]
        if not is_allowed(value):
            raise SettingsError(f"{where}: {key} is {value!r}; it must be {words}")


def check_names(where: str, table: Table, allowed: Collection[str]) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise SettingsError(
                f"{where}: unknown key {key!r}{hint}; allowed: {', '.join(sorted(allowed))}"
            )


def check_beside(
    where: str, table: Table, beside: str, key: str, allowed: Sequence[object]
) -> None:
    """A key that has fewer values where another is given; the first of them is its default."""
    if table.get(key, allowed[0]) not in allowed:
        words = " or ".join(map(repr, allowed))
        raise SettingsError(f"{where}: {key} is {table[key]!r}; with {beside} it must be {words}")


def whole(low: int, high: int) -> Key:
    def is_allowed(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return is_allowed, f"a whole number from {low} to {high}"


def number(low: float, high: float) -> Key:
    def is_allowed(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high

    return is_allowed, f"a number from {low:g} to {high:g}"


def one_of(words: Sequence[str]) -> Key:
    def is_allowed(value: Any) -> bool:
        return isinstance(value, str) and value in words

    return is_allowed, " or ".join(f'"{word}"' for word in words)
