"""Which batches are exact in bfloat16, with which settings of torch, and what they cost.

The engine's own batcher verifies them. `operations` names the kernels that depend on the batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench.cuda import checkpoints
from bench.cuda.kernel_settings import DAGUERRE, SETTINGS
from bench.cuda.operations import RowCheck
from bench.cuda.results import Results
from bench.cuda.target import Target
from daguerre.engine.batching.batcher import Batcher, batch_inputs
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.batching.verification import NUM_CHECKS
from daguerre.engine.forward import ForwardRequest, Network
from daguerre.errors import one_line

_NUM_JOBS = (2, 4, 8)


def run(target: Target, results: Results) -> None:
    """Daguerre's own settings first, for all networks."""
    denoisers = [
        _Denoiser(target, results, f"{shape.name} {side}", network, forwards)
        for shape in checkpoints.shapes(target)
        for side, network, forwards in _forwards(target, shape)
    ]
    for denoiser in denoisers:
        denoiser.check_operations()
        denoiser.check(DAGUERRE, _NUM_JOBS)
    for settings in SETTINGS:
        for denoiser in denoisers if settings != DAGUERRE else ():
            denoiser.check(settings, _NUM_JOBS[:1])


def _forwards(
    target: Target, shape: checkpoints.Shape
) -> Iterator[tuple[int, Network, list[ForwardRequest]]]:
    model = checkpoints.model_of(checkpoints.RandomCheckpoint(shape, target), shape)
    networks = model.load()
    for side in target.sides:
        forwards = checkpoints.denoiser_forwards(model, networks, side, max(_NUM_JOBS))
        yield side, networks[forwards[0].network], forwards


class _Denoiser:
    """The denoiser of one shape at one size, and forwards of several jobs."""

    def __init__(
        self,
        target: Target,
        results: Results,
        name: str,
        network: Network,
        forwards: Sequence[ForwardRequest],
    ) -> None:
        self._target, self._results, self._name = target, results, name
        self._network, self._forwards = network, forwards

    def check(self, settings: str, num_jobs: Sequence[int]) -> None:
        """Adds a row for each batch, up to the first one that is not exact or fails."""
        row = {"denoiser": self._name, "settings": settings}
        try:
            with SETTINGS[settings]():
                alone_s = self._best_s(self._forwards[:1])
                for count in num_jobs:
                    batch = self._forwards[:count]
                    is_exact, batch_s = is_certified(self._network, batch), self._best_s(batch)
                    self._results.add(
                        "certificates",
                        **row,
                        jobs=count,
                        rows=sum(forward.rows for forward in batch),
                        is_exact=is_exact,
                        alone_ms=1000 * alone_s,
                        batch_ms=1000 * batch_s,
                        speedup=count * alone_s / batch_s,
                    )
                    if not is_exact:
                        return
        except RuntimeError as error:  # a backend that does not support the shape
            self._results.add("certificates", **row, error=one_line(error)[:200])

    def check_operations(self) -> None:
        """Adds a row for each operation of a batch of two jobs."""
        with RowCheck(num_jobs=2) as found:
            self._network(batch_inputs(self._forwards[:2]))
        for operation, num_calls in found.calls.items():
            inexact = {
                shapes: n for (name, shapes), n in found.inexact.items() if name == operation
            }
            self._results.add(
                "operations",
                denoiser=self._name,
                operation=operation,
                calls=num_calls,
                inexact_calls=sum(inexact.values()),
                inexact_shapes="; ".join(inexact),
            )

    def _best_s(self, batch: Sequence[ForwardRequest]) -> float:
        return self._target.best_s(self._network, batch_inputs(batch))


def is_certified(network: Network, batch: Sequence[ForwardRequest]) -> bool | None:
    """Whether the batch passes the engine's checks; None if it does not fit into memory."""
    rows = tuple(forward.rows for forward in batch)
    config = BatchConfig(network.fingerprint, batch[0].signature, rows)
    store = CertificateStore()
    batcher = Batcher(store, time.perf_counter)
    for _ in range(NUM_CHECKS):
        for result in batcher.run(network, batch):
            if result.error:
                raise result.error
        if store.get(config) is not None:
            break
    return store.get(config)
