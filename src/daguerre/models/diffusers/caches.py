"""Step caches of a denoiser: which methods exist, and which options the catalog may set.

A step cache reuses work of earlier steps, so an image takes less time and has other pixels. The
keys are those of diffusers' configurations. `cache_hooks` applies a cache; this module loads no
torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daguerre.errors import SettingsError
from daguerre.validation import Table, Validator, check_table, enum, float_range, int_range

FIRST_BLOCK, TAYLOR, TAYLOR_LITE = "first-block", "taylorseer", "taylorseer-lite"
_INTERVAL, _ORDER = "cache_interval", "max_order"
_BEFORE, _AFTER = "disable_cache_before_step", "disable_cache_after_step"


@dataclass(frozen=True, slots=True)
class CacheMethod:
    """`defaults` are diffusers' own."""

    description: str
    keys: Mapping[str, Validator]
    defaults: Mapping[str, int | float]


_TAYLOR_DEFAULTS = {_INTERVAL: 5, _BEFORE: 3, _ORDER: 1}
# At least one full step comes first, as the base of the prediction.
_TAYLOR_KEYS: Mapping[str, Validator] = {
    _INTERVAL: int_range(2, 100),
    _BEFORE: int_range(1, 200),
    _AFTER: int_range(1, 200),
    _ORDER: int_range(1, 4),
}
METHODS: Mapping[str, CacheMethod] = {
    FIRST_BLOCK: CacheMethod(
        "Skips all blocks but the first if the first block's residual has changed by less than"
        " `threshold` since the last full evaluation.",
        {"threshold": float_range(0.001, 1)},
        {"threshold": 0.05},
    ),
    TAYLOR: CacheMethod(
        "Predicts the attention outputs by a Taylor series of `max_order`. The first"
        " `disable_cache_before_step` steps, every `cache_interval`-th step after them, and all"
        " steps from `disable_cache_after_step` are evaluated in full.",
        _TAYLOR_KEYS,
        _TAYLOR_DEFAULTS,
    ),
    TAYLOR_LITE: CacheMethod(
        "Like `taylorseer`, but predicts the output of the whole denoiser and skips all blocks.",
        _TAYLOR_KEYS,
        _TAYLOR_DEFAULTS,
    ),
}
_METHOD = "method"
WORDS = f'a table, such as {{ {_METHOD} = "{FIRST_BLOCK}", threshold = 0.1 }}'


@dataclass(frozen=True, slots=True)
class Cache:
    """A method and the options that the catalog sets, as (name, value)."""

    method: str
    options: tuple[tuple[str, int | float], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.method, *(f"{name}={value:g}" for name, value in self.options)])


def read(where: str, table: Table) -> Cache:
    """Parses the catalog's table; `where` names it in a `SettingsError`."""
    method, methods = table.get(_METHOD), enum(*METHODS)
    if not methods.accepts(method):
        given = f"is {method!r}" if _METHOD in table else "is missing"
        raise SettingsError(f"{where}: {_METHOD} {given}; it must be {methods.rule}")
    check_table(where, table, {_METHOD: methods, **METHODS[str(method)].keys})
    options = {name: value for name, value in table.items() if name != _METHOD}
    return Cache(str(method), tuple(sorted(options.items())))


def check_steps(where: str, cache: Cache, num_steps: int) -> None:
    """Raises `SettingsError` for an option without effect in `num_steps` calls of the denoiser."""
    if num_steps < 2:
        raise SettingsError(
            f"{where}: {_METHOD} is {cache.method!r}, but a single step has no earlier work to"
            " reuse; remove cache"
        )
    if cache.method in (TAYLOR, TAYLOR_LITE):
        _check_taylor(where, dict(cache.options), num_steps)


def _check_taylor(where: str, options: Mapping[str, int | float], num_steps: int) -> None:
    values = {key: int(value) for key, value in {**_TAYLOR_DEFAULTS, **options}.items()}

    def check_range(key: str, low: int, high: int, when: str = "") -> None:
        if low <= values[key] <= high:
            return
        given = f"{values[key]}{'' if key in options else ' (the default)'}"
        rule = f"it must be an integer from {low} to {high}"
        if low > high:
            rule = "no value has an effect; remove it"
        raise SettingsError(f"{where}: {key} is {given}; with {num_steps} steps{when} {rule}")

    check_range(_BEFORE, 1, num_steps - 1)
    first = values[_BEFORE]  # the first predicted step
    if _AFTER in options:
        check_range(_AFTER, first + 1, num_steps - 1, f" and {_BEFORE} = {first}")
    if _INTERVAL in options:
        check_range(_INTERVAL, 2, num_steps)
    if _ORDER in options:  # the series has one term for each full step but one
        # diffusers also evaluates the second step after the first ones.
        predicted = [
            step
            for step in range(first, values.get(_AFTER, num_steps))
            if (step - first - 1) % values[_INTERVAL]
        ]
        num_full = predicted[-1] - len(predicted) + 1
        check_range(
            _ORDER, 1, max(1, num_full - 1), f", {num_full} of them before the last predicted step,"
        )
