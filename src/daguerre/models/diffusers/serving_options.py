"""How a model ID serves a checkpoint; it does not change what is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from daguerre.params import BatchingMode

STARTUP = "startup"
LOADS = (STARTUP, "on_demand")


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """The catalog's options of a model ID.

    `steps` and `guidance` default to the family's, `max_batch_size` to a value for the device, and
    `native_size` to the checkpoint's.
    """

    steps: int | None = None
    guidance: float | None = None
    max_batch_size: int | None = None
    batching: BatchingMode = "exact"
    name: str = ""
    load: str = STARTUP
    extra_sizes: tuple[str, ...] = ()
    native_size: int | None = None
