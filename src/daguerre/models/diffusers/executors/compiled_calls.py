"""The compiled calls of a checkpoint's networks: one for each shape, with a copy of the weights.

The least recently used calls are evicted when another shape needs their memory.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from daguerre import memory
from daguerre.errors import UnavailableError

logger = logging.getLogger(__name__)


class _Entry(NamedTuple):
    num_bytes: int
    drop: Callable[[], object]


class CompiledCalls:
    """Used in the engine's thread only."""

    def __init__(self, free_bytes: Callable[[], int] = memory.free_bytes) -> None:
        self._free_bytes = free_bytes
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()  # least recently used first

    def use(self, key: Hashable, num_bytes: int, drop: Callable[[], object]) -> None:
        """Marks a call as the most recently used; `drop` frees its memory."""
        self._entries[key] = _Entry(num_bytes, drop)
        self._entries.move_to_end(key)

    def drop(self, key: Hashable) -> None:
        self._entries.pop(key).drop()

    def evict_until_free(self, network: str, min_bytes: int, expected_bytes: int) -> None:
        """Evicts calls until another one of the network fits, which takes at least `min_bytes`.

        Raises `UnavailableError` if evicting all of them would not suffice.
        """
        free, num_evicted = self._free_bytes(), 0
        needs = f"{network} needs {expected_bytes / 1e9:.2f} GB of memory for another size"
        if free + sum(entry.num_bytes for entry in self._entries.values()) < min_bytes:
            text = f"{needs}, but {free / 1e9:.2f} GB are free"
            logger.error('%s; free memory, or set executor = "eager" in the catalog', text)
            raise UnavailableError(f"{text}; use a size of an earlier request, if there was one")
        while free < expected_bytes and self._entries:
            self.drop(next(iter(self._entries)))
            free, num_evicted = self._free_bytes(), num_evicted + 1
        if free < expected_bytes:
            logger.warning("%s, but %.2f GB are free; trying it", needs, free / 1e9)
        elif num_evicted:
            text = "%s; after %d evictions, %.2f GB are free"
            logger.info(text, needs, num_evicted, free / 1e9)
