"""The state of each model in a running server, for the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from daguerre.engine.interface import Engine


@dataclass(frozen=True, slots=True)
class ModelState:
    """`state` is loaded, loading, not loaded (until the next request) or failed.

    `num_workers` have the model in memory, and need about `num_bytes` each.
    """

    id: str
    state: str
    reason: str = ""
    num_workers: int = 0
    num_bytes: int = 0


def model_states(
    engine: Engine, conflicts: Mapping[str, str] | None = None
) -> list[dict[str, object]]:
    """JSON objects with the fields of `ModelState`, in the order of the catalog.

    `conflicts` are reasons for the operator, in place of those for clients.
    """
    stats = engine.stats()
    states = []
    for info in engine.models():
        num_workers = sum(info.id in worker.loaded_models for worker in stats.workers)
        loads = stats.loads.get(info.id)
        reason = (conflicts or {}).get(info.id) or stats.load_failures.get(info.id, "")
        state = "loaded" if num_workers else "not loaded"
        if any(worker.loading == info.id for worker in stats.workers):
            state = "loading"
        state = "failed" if reason else state
        num_bytes = loads.num_bytes if loads else 0
        states.append(asdict(ModelState(info.id, state, reason, num_workers, num_bytes)))
    return states
