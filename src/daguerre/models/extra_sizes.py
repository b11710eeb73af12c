"""The catalog's key `extra_sizes`: sizes that a model accepts besides those of every model."""

from __future__ import annotations

import re

from daguerre.params import SIZES
from daguerre.validation import Validator

_SIZE = re.compile(r"([1-9][0-9]{2,3})x([1-9][0-9]{2,3})")
_SIDES = range(256, 2049, 64)  # accepted by all families
_MAX_SIZES = 16


def _is_size(value: object) -> bool:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    pixels = tuple(map(int, found.groups())) if found else ()
    return bool(pixels) and {*pixels} <= {*_SIDES} and pixels not in SIZES.values()


def _are_sizes(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_SIZES:
        return False
    return all(map(_is_size, value)) and len({*value}) == len(value)


EXTRA_SIZES = Validator(
    f'a list of 1 to {_MAX_SIZES} different sizes such as "512x512", whose sides are multiples of'
    f" {_SIDES.step} from {_SIDES[0]} to {_SIDES[-1]}, without the sizes of every model",
    _are_sizes,
)
