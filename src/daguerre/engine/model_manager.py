"""The model manager: loads models at startup or on demand, and unloads idle ones.

A model without a running job is unloaded if another one needs its memory, least recently used
first, or after its idle time.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple

from daguerre import memory
from daguerre.engine.forward import Network, is_out_of_memory
from daguerre.engine.interface import LoadStats, ModelLoad, add_loads
from daguerre.engine.pipeline import EvictableModel, Model
from daguerre.errors import DaguerreError, SettingsError, one_line
from daguerre.runtime_variables import runtime_fingerprint

logger = logging.getLogger(__name__)

# A model that failed to load is not tried again for this time, which doubles with each failure: a
# try may take minutes, in which no other model runs.
RETRY_S, MAX_RETRY_S = 60.0, 3600.0


class _LoadFailure(NamedTuple):
    """The last of `num_attempts` consecutive failures."""

    reason: str
    num_attempts: int
    retry_at_s: float


class ModelManager:
    """The loaded models. One thread changes them; any thread may read.

    Models that share weights are loaded one by one and unloaded together.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        clock: Callable[[], float],
        on_load: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_load` is called when `loading` has changed, and after a model was unloaded."""
        self._models, self._clock, self._on_load = models, clock, on_load
        self.loading: ModelLoad | None = None
        self._evictable = {
            one: model for one, model in models.items() if isinstance(model, EvictableModel)
        }
        # All three are replaced, not modified: other threads may be reading them.
        self._loaded: Mapping[str, Mapping[str, Network]] = {}  # least recently used first
        self._failures: Mapping[str, _LoadFailure] = {}
        self.loads: Mapping[str, LoadStats] = {}
        self._must_collect = False
        self._used_s: dict[str, float] = {}  # loaded model -> when its last job ended

    def preload_ids(self) -> list[str]:
        """The models to load at startup."""
        evictable = self._evictable
        return [one for one in self._models if one not in evictable or evictable[one].preload]

    def networks(self, model_id: str) -> Mapping[str, Network]:
        return self._loaded[model_id]

    def all_networks(self) -> list[Network]:
        return [network for networks in self._loaded.values() for network in networks.values()]

    def fingerprints(self) -> dict[str, str]:
        """Loaded model -> fingerprint of everything that determines the bits of its images.

        Only the weights count for a model in throughput mode, which does not promise equal bits.
        """
        return {one: self._fingerprint(one, found) for one, found in self._loaded.items()}

    def is_loaded(self, model_id: str) -> bool:
        return model_id in self._loaded

    def load_failures(self) -> dict[str, str]:
        """Model -> why its last load failed or its fault, in words for clients: they name no
        file."""
        failures = {one: failure.reason for one, failure in self._failures.items()}
        return {**failures, **self.faults()}

    def faults(self) -> dict[str, str]:
        """Loaded model that must not be used any more -> why, in words for clients."""
        loaded = {one: self._evictable[one] for one in self._loaded if one in self._evictable}
        return {one: model.fault for one, model in loaded.items() if model.fault}

    def retire(self, model_id: str, reason: str) -> None:
        """Unloads the model, none of whose jobs is running, and never loads it again."""
        self.exclude(model_id, reason)
        self._loaded = {one: nets for one, nets in self._loaded.items() if one != model_id}
        self._evictable[model_id].unload()
        self._on_load()

    def must_not_retry(self, model_id: str) -> bool:
        """Whether the model failed to load so recently that it must not be tried again."""
        failure = self._failures.get(model_id)
        return failure is not None and self._clock() < failure.retry_at_s

    def exclusion(self, model_id: str) -> str:
        """Why the model must never be loaded, or ""."""
        failure = self._failures.get(model_id)
        return failure.reason if failure and failure.retry_at_s == math.inf else ""

    def exclude(self, model_id: str, reason: str) -> None:
        """Never loads the model; `reason` is in words for clients."""
        self._failures = {**self._failures, model_id: _LoadFailure(reason, 0, math.inf)}

    def touch(self, model_id: str) -> None:
        """Marks the model as the most recently used."""
        others = {one: networks for one, networks in self._loaded.items() if one != model_id}
        self._loaded = {**others, model_id: self._loaded[model_id]}

    def record_use(self, model_id: str) -> None:
        """Restarts the idle time of the model: one of its jobs has ended."""
        self._used_s[model_id] = self._clock()

    def unload_idle(self, busy: Collection[str]) -> float | None:
        """Unloads the models whose idle time is over; models that share weights together.

        Returns the seconds until the next idle time is over, or None.
        """
        now_s, keys = self._clock(), self._weights_keys()
        expires_s: dict[Hashable, float] = {}
        for one, key in keys.items():
            idle_s = math.inf if one in busy else self._evictable[one].idle_unload_s or math.inf
            expires_s[key] = max(expires_s.get(key, 0.0), self._used_s[one] + idle_s)
        for key in [key for key, at_s in expires_s.items() if at_s <= now_s]:
            del expires_s[key]
            self._unload(key, "because of idle_unload_s")
        next_s = min(expires_s.values(), default=math.inf)
        return None if next_s == math.inf else next_s - now_s

    def fits(self, model_id: str) -> bool:
        """Whether the free memory suffices for the model."""
        model = self._evictable.get(model_id)
        return (
            model is None
            or model.weights_key in self._weights_keys().values()
            or model.free_bytes() >= model.num_bytes
        )

    def evict_until_fits(self, model_id: str, busy: Collection[str]) -> bool:
        """Evicts models that are not busy, least recently used first, until the model fits.

        Returns False if only busy models are left to evict. If no models are left, it returns True:
        the size is an estimate, so loading is worth a try.
        """
        while not self.fits(model_id):
            device = self._evictable[model_id].device
            same_device = {
                one: key
                for one, key in self._weights_keys().items()
                if self._evictable[one].device == device
            }
            busy_keys = {key for one, key in same_device.items() if one in busy}
            victim = next((key for key in same_device.values() if key not in busy_keys), None)
            if victim is None:
                return not busy_keys
            self._unload(victim, "to free memory")
        return True

    def load(self, model_id: str) -> None:
        """Loads the model; raises whatever it raises, and remembers the failure."""
        started_s = self._clock()
        model = self._models[model_id]
        try:
            self._set_loading(ModelLoad(model_id, model.num_bytes))
            networks = model.load()
        except Exception as error:
            before = self._failures.get(model_id)
            num_attempts = before.num_attempts + 1 if before else 1
            retry_at_s = self._clock() + min(RETRY_S * 2.0 ** (num_attempts - 1), MAX_RETRY_S)
            failure = _LoadFailure(_reason_for_clients(error), num_attempts, retry_at_s)
            self._failures = {**self._failures, model_id: failure}
            self._must_collect = True
            self._count(model_id, LoadStats(num_failed=1, total_s=self._clock() - started_s))
            raise
        finally:
            self._set_loading(None)
        self._failures = {one: f for one, f in self._failures.items() if one != model_id}
        self._loaded = {**self._loaded, model_id: networks}
        self.record_use(model_id)
        load_s = self._clock() - started_s
        self._count(model_id, LoadStats(1, total_s=load_s, num_bytes=model.num_bytes))
        logger.info("loaded %s in %.1f s", model_id, load_s)

    def _count(self, model_id: str, load: LoadStats) -> None:
        self.loads = add_loads([self.loads, {model_id: load}])

    def free_failed(self) -> None:
        """Frees what failed loads left in memory; call it when their exceptions are gone.

        A traceback refers to half a model, which may consist of cycles.
        """
        if self._must_collect:
            self._must_collect = False
            gc.collect()

    def describe(self, model_id: str, error: Exception) -> str:
        """One line about why a load failed, for the operator."""
        if is_out_of_memory(error):
            return f"not enough memory: {self.memory_text(model_id)} ({one_line(error)})"
        if isinstance(error, DaguerreError):
            return " ".join(error.message.split())
        # A runtime may fail because it must not use what it needs.
        variables = f" (variables: {' '.join(words)})" if (words := runtime_fingerprint()) else ""
        return f"{one_line(error)}{variables}"

    def memory_text(self, model_id: str) -> str:
        """Compares the model's size with the free memory of its device."""
        model = self._evictable.get(model_id)
        num_free = model.free_bytes() if model else memory.free_bytes()
        return ModelLoad(model_id, self._models[model_id].num_bytes).memory_text(num_free)

    def _set_loading(self, load: ModelLoad | None) -> None:
        self.loading = load
        self._on_load()

    def unload_all(self) -> None:
        loaded = list(self._weights_keys())
        self._loaded = {}
        for model_id in loaded:
            try:
                self._evictable[model_id].unload()
            except Exception:  # a model's code may raise anything
                logger.exception("cannot unload %s", model_id)

    def _unload(self, weights_key: Hashable, reason: str) -> None:
        victims = [one for one, key in self._weights_keys().items() if key == weights_key]
        self._loaded = {one: nets for one, nets in self._loaded.items() if one not in victims}
        for model_id in victims:
            self._evictable[model_id].unload()
        logger.info("unloaded %s %s", ", ".join(victims), reason)
        self._on_load()

    def _fingerprint(self, model_id: str, networks: Mapping[str, Network]) -> str:
        info = self._models[model_id].info
        if info.batching != "exact":
            return info.weights_sha256
        return " ".join(sorted(network.fingerprint for network in networks.values()))

    def _weights_keys(self) -> dict[str, Hashable]:
        """Loaded evictable model -> its `weights_key`."""
        found = self._evictable
        return {one: found[one].weights_key for one in self._loaded if one in found}


def is_expected(error: Exception) -> bool:
    """Whether the error is about a file, the configuration or memory; another may be a bug."""
    return isinstance(error, (DaguerreError, OSError)) or is_out_of_memory(error)


def log_failure(text: str, error: Exception, *, is_reported: bool = False) -> None:
    """Logs a failed load. The traceback of an expected error is for the debug log only.

    With `is_reported`, the owner of the engine reports an expected error.
    """
    if not is_expected(error):
        logger.error("%s", text, exc_info=error)
        return
    if not is_reported:
        logger.error("%s", text)
    logger.debug("%s", text, exc_info=error)


def _reason_for_clients(error: Exception) -> str:
    if is_out_of_memory(error):
        return "not enough memory"
    if isinstance(error, SettingsError):
        return "its checkpoint or its configuration cannot be used"
    return "an error occurred while it was loaded"
