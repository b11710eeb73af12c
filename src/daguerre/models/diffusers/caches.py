"""Caches of a denoiser's work, by catalog: which there are, and what each may be told.

A cache makes part of a step's result of what steps before it left, instead of computing it: another
picture, in less time. The keys are those of diffusers' own configurations. Knows nothing of how one
is applied (`daguerre.models.diffusers.hooks`), and loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daguerre.errors import SettingsError
from daguerre.models.keys import Key, Table, check, number, one_of, whole

FIRST_BLOCK, TAYLOR, TAYLOR_LITE = "first-block", "taylorseer", "taylorseer-lite"
# At least one full step comes first: there must be something to foretell from.
_TAYLOR_KEYS: Mapping[str, Key] = {
    "cache_interval": whole(2, 100),
    "disable_cache_before_step": whole(1, 200),
    "disable_cache_after_step": whole(1, 200),
    "max_order": whole(1, 4),
}
METHODS: Mapping[str, Mapping[str, Key]] = {
    FIRST_BLOCK: {"threshold": number(0.001, 1)},
    TAYLOR: _TAYLOR_KEYS,
    TAYLOR_LITE: _TAYLOR_KEYS,
}
_METHOD = "method"
WORDS = f'a table, such as {{ {_METHOD} = "{FIRST_BLOCK}", threshold = 0.1 }}'


@dataclass(frozen=True, slots=True)
class Cache:
    """`options` are those that the catalog gives, by name; the others are diffusers' defaults."""

    method: str
    options: tuple[tuple[str, int | float], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.method, *(f"{name}={value:g}" for name, value in self.options)])


def read(where: str, table: Table) -> Cache:
    """Raises `SettingsError` for what no cache is told."""
    is_method, words = one_of(tuple(METHODS))
    method = table.get(_METHOD)
    if not is_method(method):
        given = f"is {method!r}" if _METHOD in table else "is missing"
        raise SettingsError(f"{where}: {_METHOD} {given}; it must be {words}")
    check(where, table, {_METHOD: one_of(tuple(METHODS)), **METHODS[str(method)]})
    options = {name: value for name, value in table.items() if name != _METHOD}
    return Cache(str(method), tuple(sorted(options.items())))
