"""How a model ID serves a checkpoint; it does not change what is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from daguerre.models.diffusers.samplers import Sampler
from daguerre.params import BatchingMode

STARTUP = "startup"
LOADS = (STARTUP, "on_demand")


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """The catalog's options of a model ID.

    `steps` and `guidance` default to the family's, `max_batch_size` to a value for the device,
    `native_size` and `sampler` to the checkpoint's, and `idle_unload_s` to the setting of this
    name.
    """

    steps: int | None = None
    guidance: float | None = None
    max_batch_size: int | None = None
    batching: BatchingMode = "exact"
    name: str = ""
    load: str = STARTUP
    idle_unload_s: float | None = None
    extra_sizes: tuple[str, ...] = ()
    native_size: int | None = None
    sampler: Sampler | None = None
    clip_skip: int = 0

    def with_idle_unload_s(self, default_s: float) -> ServingOptions:
        """These options, with this idle time if they have none."""
        return self if self.idle_unload_s is not None else replace(self, idle_unload_s=default_s)

    def changes(self) -> Iterator[str]:
        """What changes the checkpoint's images, in words."""
        if self.sampler:
            yield f"sampler {self.sampler}"
        if self.clip_skip:
            yield f"clip_skip {self.clip_skip}"
