"""The denoiser's rate of arithmetic, relative to that of a matrix product on the device."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.cuda import checkpoints
from bench.cuda.results import Results
from bench.cuda.target import Target
from daguerre.engine.batching.batcher import batch_inputs

_NUM_JOBS = (1, 4)


def run(target: Target, results: Results) -> None:
    rate = matrix_rate(target)
    results.add("matrix product", type="bfloat16", tflop_per_s=rate / 1e12)
    for shape in checkpoints.shapes(target):
        model = checkpoints.model_of(checkpoints.RandomCheckpoint(shape, target), shape)
        networks = model.load()
        for side in target.sides:
            forwards = checkpoints.denoiser_forwards(model, networks, side, max(_NUM_JOBS))
            network = networks[forwards[0].network]
            for num_jobs in _NUM_JOBS:
                inputs = batch_inputs(forwards[:num_jobs])
                with FlopCounterMode(display=False) as counter:
                    network(inputs)
                seconds = target.best_s(network, inputs)
                num_operations = counter.get_total_flops()
                results.add(
                    "denoiser",
                    denoiser=f"{shape.name} {side}",
                    jobs=num_jobs,
                    tflop=num_operations / 1e12,
                    forward_ms=1000 * seconds,
                    tflop_per_s=num_operations / seconds / 1e12,
                    share_of_the_product=num_operations / seconds / rate,
                )
        model.unload()


def matrix_rate(target: Target) -> float:
    """Operations per second of a large product of random bfloat16 matrices."""
    side = 256 if target.is_tiny else 8192
    a, b = (torch.randn(side, side, dtype=torch.bfloat16, device=target.device) for _ in "ab")
    return 2 * side**3 / target.best_s(torch.matmul, a, b)
