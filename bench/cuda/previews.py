"""The time of a preview on the device, relative to a denoising step."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from bench.cuda import checkpoints
from bench.cuda.results import Results
from bench.cuda.target import Target
from daguerre.engine.forward import Network
from daguerre.engine.pipeline import Pipeline
from daguerre.params import MAX_PREVIEWS


@dataclass
class _Times:
    """Seconds of each forward of the denoiser, of the sampler after it, and of a preview."""

    forward_s: list[float] = field(default_factory=list)
    sampler_s: list[float] = field(default_factory=list)
    preview_s: list[float] = field(default_factory=list)


def run(target: Target, results: Results) -> None:
    for shape in checkpoints.shapes(target):
        model = checkpoints.model_of(checkpoints.RandomCheckpoint(shape, target), shape)
        networks = model.load()
        for side in target.sides:
            for _ in range(2):  # the first image warms up
                wanted = checkpoints.params(side, seed=1, num_previews=MAX_PREVIEWS)
                times = _measure(target, networks, model.pipeline(wanted))
            forward_ms, sampler_ms, preview_ms = (
                1000 * statistics.median(part)
                for part in (times.forward_s, times.sampler_s, times.preview_s)
            )
            results.add(
                "previews",
                denoiser=f"{shape.name} {side}",
                forward_ms=forward_ms,
                sampler_ms=sampler_ms,
                preview_ms=preview_ms,
                preview_by_step=preview_ms / (forward_ms + sampler_ms),
            )
        model.unload()


def _measure(target: Target, networks: Mapping[str, Network], pipeline: Pipeline) -> _Times:
    """Runs the pipeline up to its decoder, with a preview after each step."""
    times = _Times()
    with closing(pipeline):
        forward = next(pipeline)
        while forward.stage != "decode":
            outputs, forward_s = target.timed(networks[forward.network], forward.inputs)
            next_forward, sampler_s = target.timed(pipeline.send, outputs)
            if forward.stage == "denoise" and forward.preview:
                times.forward_s.append(forward_s)
                times.sampler_s.append(sampler_s)
                times.preview_s.append(target.timed(forward.preview, outputs)[1])
            forward = next_forward
    return times
