"""Worker parity: all workers that serve a model must produce the same image from the same seed.

Each worker reports a fingerprint of every model it loads, which states all that decides the model's
output there. A model's reference is the fingerprint of the first worker that loads it. It stays
while any worker matches it or may still do so. Workers are ordered by number, so that every start
of the server chooses the same reference.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

logger = logging.getLogger(__name__)


class WorkerParity:
    """Decides which workers may serve a model.

    Until its reference is known, the first worker alone gets jobs of a model. After that, a worker
    with a different fingerprint gets none. If no worker can match the reference any more, the
    fingerprint of the first worker replaces it.
    """

    def __init__(self, num_workers: int) -> None:
        self._order = list(range(num_workers))
        self._fingerprints: list[dict[str, str]] = [{} for _ in range(num_workers)]  # by model
        self._failed: list[Collection[str]] = [() for _ in range(num_workers)]
        self.references: dict[str, str] = {}  # fingerprint of each model that was loaded
        self._mismatches: list[tuple[int, str]] = []

    def may_serve(self, worker: int, model: str) -> bool:
        """Whether the worker may run jobs of the model, which it need not have loaded yet."""
        candidates = self._candidates(model)
        return worker in (candidates if model in self.references else candidates[:1])

    def mismatched_models(self, worker: int) -> tuple[str, ...]:
        """Models that the worker has loaded and may not serve."""
        return tuple(model for one, model in self._mismatches if one == worker)

    def update(self, worker: int, loaded: Mapping[str, str], failed: Collection[str] = ()) -> bool:
        """Records what a worker loaded and failed to load; returns whether that has changed.

        The fingerprint of a model that was unloaded stays: loading it again would not change it.
        """
        fingerprints = {**self._fingerprints[worker], **loaded}
        if fingerprints == self._fingerprints[worker] and {*failed} == {*self._failed[worker]}:
            return False
        self._fingerprints[worker], self._failed[worker] = fingerprints, failed
        self._compare()
        return True

    def clear(self, worker: int) -> None:
        """Forgets a worker's reports because its process ended; the next one may match again."""
        self._fingerprints[worker], self._failed[worker] = {}, ()
        self._compare()

    def deprioritize(self, worker: int) -> None:
        """Moves a worker that could not start to the end of the order."""
        self._order.sort(key=lambda one: one == worker)
        self._compare()

    def remove(self, worker: int) -> None:
        """Excludes a worker that will not be started again."""
        self._order.remove(worker)
        self.clear(worker)

    def _candidates(self, model: str) -> list[int]:
        """Workers that may match, in order. One that failed to load the model is a last resort."""
        matching = [one for one in self._order if not self._is_mismatched(one, model)]
        candidates = matching or self._order
        return [one for one in candidates if model not in self._failed[one]] or candidates

    def _is_mismatched(self, worker: int, model: str) -> bool:
        reference, reported = self.references.get(model), self._fingerprints[worker].get(model)
        return None not in (reference, reported) and reported != reference

    def _compare(self) -> None:
        """Updates the references; logs each change of one, and each mismatch once."""
        for model in set[str]().union(*self._fingerprints):
            first = self._candidates(model)[0]
            if model in self._fingerprints[first]:
                self._set_reference(model, self._fingerprints[first][model])
        mismatches = [
            (worker, model)
            for worker in self._order
            for model in self._fingerprints[worker]
            if self._is_mismatched(worker, model)
        ]
        text = "worker %d gets no %s jobs: its fingerprint differs from the reference (%s != %s)"
        for worker, model in mismatches:
            if (worker, model) not in self._mismatches:
                diff = fingerprint_diff(self._fingerprints[worker][model], self.references[model])
                logger.error(text, worker, model, *diff)
        self._mismatches = mismatches

    def _set_reference(self, model: str, fingerprint: str) -> None:
        previous, self.references[model] = self.references.get(model, fingerprint), fingerprint
        if previous != fingerprint:
            logger.warning(
                "%s: reference fingerprint changed (%s -> %s); the same seed may now produce"
                " different images",
                model,
                *fingerprint_diff(previous, fingerprint),
            )


def fingerprint_diff(one: str, other: str) -> tuple[str, str]:
    """The words that only the one and only the other fingerprint has."""
    words, other_words = one.split(), other.split()
    only_one = [word for word in dict.fromkeys(words) if word not in other_words]
    only_other = [word for word in dict.fromkeys(other_words) if word not in words]
    return " ".join(only_one) or "nothing", " ".join(only_other) or "nothing"
