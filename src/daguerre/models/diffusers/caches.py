"""Caches of a denoiser's work, by catalog: which there are, and what each may be told.

A cache makes part of a step's result of what steps before it left, instead of computing it: another
picture, in less time. The keys are those of diffusers' own configurations. Knows nothing of how one
is applied (`daguerre.models.diffusers.cache_hooks`), and loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daguerre.errors import SettingsError
from daguerre.validation import Table, Validator, check_table, enum, float_range, int_range

FIRST_BLOCK, TAYLOR, TAYLOR_LITE = "first-block", "taylorseer", "taylorseer-lite"
_INTERVAL, _BEFORE, _AFTER = (
    "cache_interval",
    "disable_cache_before_step",
    "disable_cache_after_step",
)
_ORDER = "max_order"
_DEFAULTS = {_INTERVAL: 5, _BEFORE: 3, _ORDER: 1}  # diffusers' own
# At least one full step comes first: there must be something to foretell from.
_TAYLOR_KEYS: Mapping[str, Validator] = {
    _INTERVAL: int_range(2, 100),
    _BEFORE: int_range(1, 200),
    _AFTER: int_range(1, 200),
    _ORDER: int_range(1, 4),
}
METHODS: Mapping[str, Mapping[str, Validator]] = {
    FIRST_BLOCK: {"threshold": float_range(0.001, 1)},
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
    method, methods = table.get(_METHOD), enum(*METHODS)
    if not methods.accepts(method):
        given = f"is {method!r}" if _METHOD in table else "is missing"
        raise SettingsError(f"{where}: {_METHOD} {given}; it must be {methods.rule}")
    check_table(where, table, {_METHOD: methods, **METHODS[str(method)]})
    options = {name: value for name, value in table.items() if name != _METHOD}
    return Cache(str(method), tuple(sorted(options.items())))


def check_steps(where: str, cache: Cache, num_steps: int) -> None:
    """Raises `SettingsError` for what has no effect in so many evaluations of the denoiser."""
    if num_steps < 2:
        raise SettingsError(
            f"{where}: {_METHOD} is {cache.method!r}, but in one step nothing can be used again;"
            " leave cache out"
        )
    if cache.method in (TAYLOR, TAYLOR_LITE):
        _check_taylor(where, dict(cache.options), num_steps)


def _check_taylor(where: str, given: Mapping[str, int | float], num_steps: int) -> None:
    def check_range(key: str, low: int, high: int, when: str = "") -> int:
        value = int({**_DEFAULTS, **given}[key])
        if low <= value <= high:
            return value
        told = f"{where}: {key} is {value}{'' if key in given else ', the default'}"
        words = f"it must be an integer from {low} to {high}"
        if low > high:
            words = "none has an effect; leave it out"
        raise SettingsError(f"{told}; with {num_steps} steps{when} {words}")

    first = check_range(_BEFORE, 1, num_steps - 1)  # that is foretold
    end = num_steps
    if _AFTER in given:
        end = check_range(_AFTER, first + 1, num_steps - 1, f" and {_BEFORE} = {first}")
    interval = int(given.get(_INTERVAL, _DEFAULTS[_INTERVAL]))
    if _INTERVAL in given:
        check_range(_INTERVAL, 2, num_steps)
    # As diffusers counts: the second step after the first ones is computed, too.
    full = [step for step in range(end) if step < first or (step - first - 1) % interval == 0]
    last = max(step for step in range(end) if step not in full)
    if _ORDER in given:  # a term of the series for each full step but one
        num_full = sum(step < last for step in full)
        check_range(
            _ORDER, 1, max(1, num_full - 1), f", {num_full} of them before the last foretold,"
        )
