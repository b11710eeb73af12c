"""Numbers of ended jobs, by model and outcome."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["succeeded", "failed", "cancelled"]
OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "cancelled")


class EndedJobs:
    """Counts from any thread. Other models than `models` appear with their first job."""

    def __init__(self, models: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._counts = {model: dict.fromkeys(OUTCOMES, 0) for model in models}

    def count(self, model: str, outcome: Outcome) -> None:
        with self._lock:
            counts = self._counts.setdefault(model, dict.fromkeys(OUTCOMES, 0))
            counts[outcome] += 1

    def by_model(self) -> dict[str, Mapping[Outcome, int]]:
        """Model -> outcome -> number."""
        with self._lock:
            return {model: dict(counts) for model, counts in self._counts.items()}
