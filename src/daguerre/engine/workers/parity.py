"""Which workers may serve a model: those alike, so that a seed draws the same bits at each of them.

What a worker says of a model that it has loaded is compared with what the first one said. That is
the lowest that could be started, so that it is the same at each start of the server; until it has
loaded the model, it alone is given requests for it. One that could not load the model a moment ago
is passed over, where another can be tried. Knows nothing of what the facts say.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

logger = logging.getLogger(__name__)


class WorkerParity:
    def __init__(self, num_workers: int) -> None:
        self._order = list(range(num_workers))  # those that are not given up; the first decides
        # Model -> facts, as the present process of each worker has said.
        self._said: list[dict[str, str]] = [{} for _ in range(num_workers)]
        self._failed: list[Collection[str]] = [() for _ in range(num_workers)]  # could not load
        self._served: dict[str, str] = {}

    def may_serve(self, worker: int, model: str) -> bool:
        """Also where it has not loaded the model yet, and one alike has."""
        able = self._able(model)
        if model not in self._served:
            return able[:1] == [worker]
        return worker in able and not self._is_unlike(worker, model)

    def unlike(self, worker: int) -> tuple[str, ...]:
        """Models that it has and may not serve."""
        return tuple(model for model in self._said[worker] if self._is_unlike(worker, model))

    def note(self, worker: int, loaded: Mapping[str, str], failed: Collection[str] = ()) -> bool:
        """What it says of the models that it has loaded, and which it could not load; whether that
        is news.

        What was said of one that is unloaded still holds: else the next request would load it again
        to learn the same.
        """
        said = self._said[worker]
        news = {model: facts for model, facts in loaded.items() if said.get(model) != facts}
        said.update(news)
        changed = {*failed} ^ {*self._failed[worker]}
        self._failed[worker] = failed
        for model in {*news, *changed}:
            self._settle(model)
        for model in news:
            self._tell(model, worker)
        return bool(news or changed)

    def forget(self, worker: int) -> None:
        """Its process is gone; the next may be another."""
        self._said[worker], self._failed[worker] = {}, ()

    def pass_over(self, worker: int) -> None:
        """A process of it could not be started: the others do not wait for the next."""
        self._order.sort(key=lambda one: one == worker)
        self._settle_all()

    def give_up(self, worker: int) -> None:
        """There will be no other process of it."""
        self.forget(worker)
        if worker in self._order:
            self._order.remove(worker)
        self._settle_all()

    def _settle_all(self) -> None:
        for model in {model for said in self._said for model in said}:
            self._settle(model)

    def _able(self, model: str) -> list[int]:
        """Workers that may be tried, in order: all where none could load it."""
        able = [worker for worker in self._order if model not in self._failed[worker]]
        return able or self._order

    def _settle(self, model: str) -> None:
        """What is served stays so while any worker has it, or may yet."""
        said = [self._said[worker].get(model) for worker in self._able(model)]
        served = self._served.get(model)
        if not said or (first := said[0]) is None:
            return
        if served is None:
            self._served[model] = first
            for worker in self._order:
                self._tell(model, worker)
        elif None not in said and served not in said:
            self._served[model] = first
            words = difference(first, served)
            logger.warning("%s is not what it was (%s): seeds may draw other bits", model, words)

    def _is_unlike(self, worker: int, model: str) -> bool:
        served, said = self._served.get(model), self._said[worker].get(model)
        return None not in (served, said) and said != served

    def _tell(self, model: str, worker: int) -> None:
        if self._is_unlike(worker, model):
            words = difference(self._said[worker][model], self._served[model])
            logger.error(
                "worker %d gets no requests for %s, which it would draw with other bits than the"
                " others (%s)",
                worker,
                model,
                words,
            )


def difference(one: str, other: str) -> str:
    """In the words that only one of them has."""
    mine, theirs = one.split(), other.split()
    only = [word for word in dict.fromkeys(mine) if word not in theirs]
    missing = [word for word in dict.fromkeys(theirs) if word not in mine]
    return f"{' '.join(only) or 'nothing'} instead of {' '.join(missing) or 'nothing'}"
