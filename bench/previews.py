"""Measures how long previews of the bundled model delay the denoiser's forwards.

Images are generated one at a time, alternately without and with previews. An interval is the time
from the end of one denoiser forward to the end of the next one. It includes all work of the engine
between them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import ForwardRequest, Inputs, Network, Outputs, Preview
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.engine.previews import preview_steps
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import MAX_PREVIEWS, ImageParams, JobSucceeded, ModelInfo, StepCompleted

_ID = "model"
PROMPTS = (
    "a red fox in the snow",
    "a mountain lake at sunset",
    "three balloons over a city",
    "a table with a vase in a room",
    "an owl, watercolour",
)


class _TimedDenoiser:
    """A denoiser that records when its forwards end."""

    def __init__(self, network: Network) -> None:
        self.name, self.fingerprint = network.name, network.fingerprint
        self._network = network
        self.ended_s: list[float] = []

    def __call__(self, inputs: Inputs) -> Outputs:
        outputs = self._network(inputs)
        self.ended_s.append(time.perf_counter())
        return outputs


class _TimedModel:
    """The bundled model, which records the time of each preview."""

    def __init__(self) -> None:
        self._model = EmbeddedModel(_ID)
        self.info: ModelInfo = self._model.info
        self.max_batch_size: Mapping[str, int] = {}
        self.num_bytes = self._model.num_bytes
        self.preview_ms: list[float] = []

    def load(self) -> Mapping[str, Network]:
        networks = dict(self._model.load())
        self.denoiser = networks["denoiser"] = _TimedDenoiser(networks["denoiser"])
        return networks

    def batch_class(self, params: ImageParams) -> None:
        return None

    def pipeline(self, params: ImageParams) -> Pipeline:
        pipeline = self._model.pipeline(params)
        try:
            forward = next(pipeline)
            while True:
                outputs = yield replace(forward, preview=self._timed(forward))
                forward = pipeline.send(outputs)
        except StopIteration as end:
            pixels: Pixels = end.value
            return pixels

    def _timed(self, forward: ForwardRequest) -> Preview | None:
        draw = forward.preview
        if draw is None:
            return None

        def preview(outputs: Outputs) -> Pixels:
            started_s = time.thread_time()
            try:
                return draw(outputs)
            finally:
                self.preview_ms.append((time.thread_time() - started_s) * 1000)

        return preview


@dataclass
class Measurement:
    """Times in ms: of each preview, and of the intervals of each scene in each round."""

    preview_ms: list[float] = field(default_factory=list)
    rounds: list[list[NDArray[np.float64]]] = field(default_factory=list)
    num_previews: int = 0

    def fastest_ms(self, steps: Sequence[int]) -> tuple[float, float]:
        """The interval after one of the steps, and the sum of an image's intervals.

        Both are the minimum over the rounds, averaged over the scenes.
        """
        rounds = np.array(self.rounds)  # (rounds, scenes, steps - 1)
        after = rounds[:, :, [step - 1 for step in steps]].min(axis=0).mean()
        return float(after), float(rounds.sum(axis=2).min(axis=0).mean())


async def measure(num_rounds: int) -> Mapping[int, Measurement]:
    """Measurements by the number of previews per image: 0 and `MAX_PREVIEWS`."""
    model = _TimedModel()
    engine = ThreadEngine([model], max_queued_jobs=1, max_running_jobs=1)
    measurements = {count: Measurement() for count in (0, MAX_PREVIEWS)}
    await engine.start()
    try:
        while not engine.stats().is_ready:
            await asyncio.sleep(0.01)
        for prompt in PROMPTS:  # warm up
            await _generate(engine, ImageParams(_ID, prompt, num_previews=MAX_PREVIEWS))
        for _ in range(num_rounds):
            for one in measurements.values():
                one.rounds.append([])
            for seed, prompt in enumerate(PROMPTS, start=1):
                for count, one in measurements.items():
                    params = ImageParams(_ID, prompt, seed=seed, num_previews=count)
                    model.denoiser.ended_s.clear()
                    model.preview_ms.clear()
                    one.num_previews += await _generate(engine, params)
                    one.preview_ms += model.preview_ms
                    one.rounds[-1].append(np.diff(model.denoiser.ended_s) * 1000)
    finally:
        await engine.stop()
    return measurements


async def _generate(engine: ThreadEngine, params: ImageParams) -> int:
    """Number of previews that arrived."""
    events = [event async for event in engine.generate(params)]
    assert isinstance(events[-1], JobSucceeded), events[-1]
    return sum(isinstance(event, StepCompleted) and event.preview is not None for event in events)


def table(measurements: Mapping[int, Measurement]) -> str:
    """The measurements as a Markdown table."""
    bare = measurements[0]
    steps = sorted(preview_steps(1 + len(bare.rounds[0][0]), MAX_PREVIEWS))
    bare_ms, bare_image_ms = bare.fastest_ms(steps)
    lines = [
        "| previews per image | preview, ms | interval after one, ms | delay of the interval |"
        " delay of the image, per preview | arrived |\n|---|---|---|---|---|---|"
    ]
    for count, one in measurements.items():
        after_ms, image_ms = one.fastest_ms(steps)
        preview = f"{np.median(one.preview_ms):.2f}" if one.preview_ms else ""
        delay = (image_ms - bare_image_ms) / len(steps) / bare_ms
        delays = f"{after_ms / bare_ms - 1:+.1%} | {delay:+.1%}"
        lines.append(f"| {count} | {preview} | {after_ms:.2f} | {delays} | {one.num_previews} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench previews", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help=f"of {2 * len(PROMPTS)} images each")
    options = parser.parse_args(arguments)
    print(table(asyncio.run(measure(options.rounds))))
