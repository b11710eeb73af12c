"""Worker parity: all workers that serve a model must produce the same image from the same seed.

Each worker reports a fingerprint of every model it loads, which states all that decides the model's
output there. The reference is the fingerprint of the first worker that can load the model. Workers
are ordered by number, so that every start of the server chooses the same reference.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

logger = logging.getLogger(__name__)


class WorkerParity:
    """Decides which workers may serve a model.

    Until its reference is known, the first worker alone gets jobs of a model. After that, a worker
    with a different fingerprint gets none, until its process is replaced. A single worker has no
    peer to match: it may change its fingerprint, with a warning.
    """

    def __init__(self, num_workers: int) -> None:
        self._order = list(range(num_workers))
        self._fingerprints: list[dict[str, str]] = [{} for _ in range(num_workers)]  # by model
        self._failed: list[Collection[str]] = [() for _ in range(num_workers)]
        self._references: dict[str, str] = {}

    def may_serve(self, worker: int, model: str) -> bool:
        """Whether the worker may run jobs of the model, which it need not have loaded yet."""
        candidates = self._candidates(model)
        return worker in (candidates if model in self._references else candidates[:1])

    def can_serve(self, model: str) -> bool:
        """Whether any worker may run jobs of the model."""
        return bool(self._candidates(model))

    def mismatched_models(self, worker: int) -> tuple[str, ...]:
        """Models that the worker has loaded and may not serve."""
        return tuple(
            model for model in self._fingerprints[worker] if self._is_mismatched(worker, model)
        )

    def update(self, worker: int, loaded: Mapping[str, str], failed: Collection[str] = ()) -> bool:
        """Records what a worker loaded and failed to load; returns whether that has changed.

        The fingerprint of a model that was unloaded stays: loading it again would not change it.
        """
        known = self._fingerprints[worker]
        new = {model: value for model, value in loaded.items() if known.get(model) != value}
        has_changed = bool(new) or {*failed} != {*self._failed[worker]}
        known.update(new)
        self._failed[worker] = failed
        for model in new.keys() & self._references.keys():
            self._on_mismatch(worker, model)
        self._choose_references()
        return has_changed

    def clear(self, worker: int) -> None:
        """Forgets a worker's reports because its process ended; the next one may match again."""
        self._fingerprints[worker], self._failed[worker] = {}, ()

    def deprioritize(self, worker: int) -> None:
        """Moves a worker that could not start to the end of the order."""
        self._order.sort(key=lambda one: one == worker)
        self._choose_references()

    def remove(self, worker: int) -> None:
        """Excludes a worker that will not be started again."""
        self.clear(worker)
        self._order.remove(worker)
        self._choose_references()

    def _candidates(self, model: str) -> list[int]:
        """Workers that may match, in order. One that failed to load the model is a last resort."""
        matching = [worker for worker in self._order if not self._is_mismatched(worker, model)]
        return [one for one in matching if model not in self._failed[one]] or matching

    def _is_mismatched(self, worker: int, model: str) -> bool:
        reference = self._references.get(model)
        return (
            reference is not None and self._fingerprints[worker].get(model, reference) != reference
        )

    def _choose_references(self) -> None:
        for model in set[str]().union(*self._fingerprints) - self._references.keys():
            first = next(iter(self._candidates(model)), None)
            if first is not None and model in self._fingerprints[first]:
                self._references[model] = self._fingerprints[first][model]
                for worker in self._order:
                    self._on_mismatch(worker, model)

    def _on_mismatch(self, worker: int, model: str) -> None:
        if not self._is_mismatched(worker, model):
            return
        diff = fingerprint_diff(self._fingerprints[worker][model], self._references[model])
        if len(self._fingerprints) == 1:
            self._references[model] = self._fingerprints[worker][model]
            text = "%s: the fingerprint changed (%s); the same seed may now produce another image"
            logger.warning(text, model, diff)
        else:
            text = (
                "worker %d: fingerprint of %s differs from the reference (%s); it gets no %s jobs"
            )
            logger.error(text, worker, model, diff, model)


def fingerprint_diff(fingerprint: str, reference: str) -> str:
    """The words that only one of two fingerprints has, as "A != B"."""
    mine, other = fingerprint.split(), reference.split()
    only_mine = [word for word in dict.fromkeys(mine) if word not in other]
    only_other = [word for word in dict.fromkeys(other) if word not in mine]
    return f"{' '.join(only_mine) or 'nothing'} != {' '.join(only_other) or 'nothing'}"
