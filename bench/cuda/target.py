"""Where the parts run, and how large their networks are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from bench.durations import durations_s

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """`folder` holds temporary checkpoints. If `is_tiny`, all shapes are small: the run only tests
    the benchmark. Without `compiles`, nothing is compiled."""

    device: str
    folder: Path
    is_tiny: bool = False
    compiles: bool = True

    @property
    def sides(self) -> tuple[int, ...]:
        """Widths of the square images, in pixels."""
        return (64, 32) if self.is_tiny else (1024, 512)

    @property
    def executors(self) -> tuple[str, ...]:
        return ("eager", "cuda-graphs", "compile") if self.compiles else ("eager", "cuda-graphs")

    def synchronize(self) -> None:
        """Waits until the device has finished its work."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def best_s(self, call: Callable[..., object], *args: object) -> float:
        """Minimum duration of a call, with the work that it launches."""

        def run() -> None:
            call(*args)
            self.synchronize()

        return min(durations_s(run, seconds=0.05 if self.is_tiny else 0.5))

    def timed(self, call: Callable[..., T], *args: object) -> tuple[T, float]:
        """The result of one call, and its duration in seconds."""
        self.synchronize()
        started = time.perf_counter()
        result = call(*args)
        self.synchronize()
        return result, time.perf_counter() - started
