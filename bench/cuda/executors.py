"""Whether `compile` and `cuda-graphs` are correct on the device, and how much faster than eager."""

from __future__ import annotations

from typing import Any

import torch

from bench.cuda import checkpoints
from bench.cuda.certificates import is_certified
from bench.cuda.results import Results
from bench.cuda.target import Target
from daguerre.engine.batching.arrays import is_same
from daguerre.engine.batching.batcher import batch_inputs
from daguerre.engine.forward import HasWarmup, Inputs, Network, NetworkChanged, Outputs

_NUM_JOBS = (1, 2)


def run(target: Target, results: Results) -> None:
    """All networks with one executor, then with the next."""
    eager: dict[tuple[str, int], tuple[Outputs, float]] = {}  # outputs and seconds
    for executor in target.executors:
        for shape in checkpoints.shapes(target):
            _measure(target, results, shape, executor, eager)


def _measure(
    target: Target,
    results: Results,
    shape: checkpoints.Shape,
    executor: str,
    eager: dict[tuple[str, int], tuple[Outputs, float]],
) -> None:
    side = target.sides[0]
    loaded = checkpoints.RandomCheckpoint(shape, target, executor)
    model = checkpoints.model_of(loaded, shape)
    networks = model.load()
    forwards = checkpoints.denoiser_forwards(model, networks, side, max(_NUM_JOBS))
    network = networks[forwards[0].network]
    for num_jobs in _NUM_JOBS:
        inputs = batch_inputs(forwards[:num_jobs])
        _, warm_up_s = target.timed(_warm_up, network, inputs)
        outputs, seconds = network(inputs), target.best_s(network, inputs)
        expected, eager_s = eager.setdefault((shape.name, num_jobs), (outputs, seconds))
        results.add(
            "executors",
            denoiser=f"{shape.name} {side}",
            executor=executor,
            runs=network.fingerprint.rpartition(f" {network.name} ")[2],
            jobs=num_jobs,
            warm_up_s=warm_up_s,
            forward_ms=1000 * seconds,
            speedup=eager_s / seconds,
            has_eager_bits=all(map(is_same, outputs, expected)),
            distance_from_eager=_distance(outputs, expected),
        )
    if executor == "compile":  # the others have the certificates of eager
        results.add(
            "certificates",
            denoiser=f"{shape.name} {side}",
            executor=executor,
            jobs=num_jobs,
            is_exact=is_certified(network, forwards),
        )
    model.unload()


def _warm_up(network: Network, inputs: Inputs) -> None:
    """Two calls, because a CUDA graph is captured at the second."""
    assert isinstance(network, HasWarmup)
    for _ in range(2):
        try:
            for _part in network.warm_up(inputs):
                pass
            network(inputs)
        except NetworkChanged:  # it runs eagerly from now on, and the row says so
            network(inputs)


def _distance(found: Any, expected: Any) -> float:
    """Norm of the difference relative to the norm of the eager output."""
    ours, theirs = (torch.cat([x.double().flatten() for x in part]) for part in (found, expected))
    return float((ours - theirs).norm() / theirs.norm())
