"""The engine's overhead per shared forward: gather, merge, split and switch, without a network.

Jobs that only request forwards, and a network that only copies, run through the engine's loop. The
time is the thread's CPU time, so other load does not affect it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.forward import ForwardRequest, Inputs, Network, Outputs
from daguerre.engine.job import Job
from daguerre.engine.loop import Loop
from daguerre.engine.pipeline import Pipeline
from daguerre.params import ImageParams, ModelInfo

ROWS = 16
_MODEL, _NETWORK = "bare", "denoiser"
_NUM_STEPS, _NUM_WARM = 220, 20
# Shapes of one row; the larger ones show the cost of moving real tensors.
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "a few numbers": {"sample": (4, 8, 8), "text": (4, 8)},
    "as SD 1.5 at 512x512": {"sample": (4, 64, 64), "text": (77, 768)},
    "as SDXL at 1024x1024": {"sample": (4, 128, 128), "text": (77, 2048)},
}


class _Answering:
    """A network that returns a copy of its first input."""

    name = fingerprint = _NETWORK

    def __call__(self, inputs: Inputs) -> Outputs:
        return (np.array(inputs["sample"]),)


@dataclass(frozen=True)
class _Asking:
    """A model whose pipelines only request forwards."""

    shapes: Mapping[str, tuple[int, ...]]
    info = ModelInfo(_MODEL, weights_sha256="", created=0, batching="throughput")
    num_bytes = 0

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        return {_NETWORK: ROWS}

    def load(self) -> Mapping[str, Network]:
        return {_NETWORK: _Answering()}

    def batch_class(self, params: ImageParams) -> None:
        return None

    def pipeline(self, params: ImageParams) -> Pipeline:
        inputs = {name: np.zeros((1, *shape), np.float32) for name, shape in self.shapes.items()}
        for index in range(1, _NUM_STEPS + 1):
            (sample,) = yield ForwardRequest(_NETWORK, inputs, "denoise", (index, _NUM_STEPS))
            inputs = {**inputs, "sample": np.asarray(sample)}
        return np.zeros((params.height, params.width, 3), np.uint8)


def cost_ms(shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Median overhead of 200 forwards that 16 jobs share, in ms of the engine's thread."""
    # With a clock that counts its calls, every forward takes one unit, so all jobs share.
    clock = itertools.count().__next__
    loop = Loop({_MODEL: _Asking(shapes)}, CertificateStore(), ROWS, clock, lambda job: None)
    loop.model_manager.load(_MODEL)
    for number in range(ROWS):
        params = ImageParams(_MODEL, "x", width=8, height=8, seed=number + 1)
        loop.add(Job(number, params, emit=lambda event: None, accepted_s=0.0))
    spent_s: list[float] = []
    while loop.has_jobs:
        before_s, num_rows = time.thread_time(), loop.batcher.num_rows
        loop.run_iteration()
        if loop.batcher.num_rows - num_rows == ROWS:
            spent_s.append(time.thread_time() - before_s)
    return float(np.median(spent_s[_NUM_WARM:])) * 1000


def main(arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(prog="python -m bench overhead").parse_args(arguments)
    print(f"| rows of {ROWS} jobs, float32 | MB merged | ms per forward |\n|---|---|---|")
    for name, shapes in SHAPES.items():
        size_mb = ROWS * sum(4 * np.prod(shape) for shape in shapes.values()) / 1e6
        print(f"| {name} | {size_mb:.1f} | {cost_ms(shapes):.2f} |")
