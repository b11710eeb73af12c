"""Which models are in memory: from the start or from first use on, and unloaded by least use.

A model that can be moved says how many bytes it takes and how many are free where it goes. What
must make room for it is what was used longest ago and works for nobody. Knows nothing of jobs but
which models have some, and is called by one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Mapping

from daguerre.engine.forward import Network
from daguerre.engine.pipeline import EvictableModel, Model

logger = logging.getLogger(__name__)

# A model that could not be loaded is not tried again for so long: each try may take minutes.
RETRY_S = 60.0


class ModelManager:
    """Ids of one source share what is loaded, and stay and go together."""

    def __init__(self, models: Mapping[str, Model], clock: Callable[[], float]) -> None:
        self._models = models
        self._clock = clock
        # Replaced, not changed: other threads may be reading it. Least recently used first.
        self._loaded: dict[str, Mapping[str, Network]] = {}
        self._failed_s: Mapping[str, float] = {}  # as _loaded

    def preload_names(self) -> list[str]:
        """The models that are loaded before the first request."""
        return [
            name
            for name, model in self._models.items()
            if not isinstance(model, EvictableModel) or model.preload
        ]

    def networks(self, name: str) -> Mapping[str, Network]:
        return self._loaded[name]

    def all_networks(self) -> list[Network]:
        loaded = self._loaded
        return [network for networks in loaded.values() for network in networks.values()]

    def facts(self) -> dict[str, str]:
        """Loaded model -> all that decides its bits. Where a model is served without the promise of
        a seed, that is its weights: what computes with them may be anything."""
        return {name: self._facts(name, networks) for name, networks in self._loaded.items()}

    def is_loaded(self, name: str) -> bool:
        return name in self._loaded

    def failed_recently(self, name: str) -> bool:
        """Whether it could not be loaded a moment ago."""
        return name in self.failed()

    def failed(self) -> tuple[str, ...]:
        """Models that could not be loaded a moment ago."""
        since_s, failed_s = self._clock() - RETRY_S, self._failed_s
        return tuple(name for name, at_s in failed_s.items() if at_s > since_s)

    def touch(self, name: str) -> None:
        """It is the last that would make room for another."""
        loaded = dict(self._loaded)
        loaded[name] = loaded.pop(name)
        self._loaded = loaded

    def fits(self, name: str) -> bool:
        model = self._models[name]
        if not isinstance(model, EvictableModel) or self._sharing(model.weights_key):
            return True
        return model.free_bytes() >= model.num_bytes

    def evict_until_fits(self, name: str, busy: Collection[str]) -> bool:
        """Unloads what is not busy until the model fits. False where it does not, and what works
        may yet make room; where nothing does it shall be tried as it is."""
        model = self._models[name]
        while not self.fits(name):
            assert isinstance(model, EvictableModel)
            near = [other for other in self._loaded if self._place(other) == model.device]
            working = {self._source(other) for other in near if other in busy}
            idle = [self._source(other) for other in near]
            victim = next((weights_key for weights_key in idle if weights_key not in working), None)
            if victim is None:
                return not working
            self._unload(victim)
        return True

    def load(self, name: str) -> None:
        """Raises whatever the model does, which then counts as failed."""
        started_s = self._clock()
        try:
            networks = self._models[name].load()
        except Exception:
            self._failed_s = {**self._failed_s, name: self._clock()}
            raise
        self._failed_s = {one: at_s for one, at_s in self._failed_s.items() if one != name}
        self._loaded = {**self._loaded, name: networks}
        logger.info("loaded %s in %.1f s", name, self._clock() - started_s)

    def clear(self) -> None:
        self._loaded = {}

    def _unload(self, weights_key: Hashable) -> None:
        names = self._sharing(weights_key)
        self._loaded = {
            name: networks for name, networks in self._loaded.items() if name not in names
        }
        for name in names:
            model = self._models[name]
            assert isinstance(model, EvictableModel), "unloading what must stay. This is a bug."
            model.unload()
        logger.info("unloaded %s to make room", ", ".join(names))

    def _facts(self, name: str, networks: Mapping[str, Network]) -> str:
        info = self._models[name].info
        if info.batching != "exact":
            return info.weights_sha256
        return " ".join(sorted(network.fingerprint for network in networks.values()))

    def _sharing(self, weights_key: Hashable) -> list[str]:
        """The loaded ids of a source."""
        return [name for name in self._loaded if self._source(name) == weights_key]

    def _source(self, name: str) -> Hashable:
        model = self._models[name]
        return model.weights_key if isinstance(model, EvictableModel) else name

    def _place(self, name: str) -> Hashable:
        """A model that cannot be moved is in nobody's place."""
        model = self._models[name]
        return model.device if isinstance(model, EvictableModel) else None
