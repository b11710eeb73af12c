"""What previews cost the embedded model's forwards: drawn by a process beside, and by the engine.

Images are made one at a time, with previews and without, in turns. An interval is the time from the
end of one forward of the denoiser to the end of the next, so that it has in it all that the engine
does between, and whatever slows the forward down. Knows nothing of HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import ForwardRequest, Inputs, Network, Outputs, Preview, Promise
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.engine.previews import due
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import MAX_PREVIEWS, ImageParams, JobSucceeded, ModelInfo, StepCompleted

_ID = "model"
BESIDE, ENGINE, NONE = "by a process beside", "by the engine", "none"
PROMPTS = (
    "a red fox in the snow",
    "a mountain lake at sunset",
    "three balloons over a city",
    "a table with a vase in a room",
    "an owl, watercolour",
)


class _Ends:
    """A denoiser that remembers when its forwards ended."""

    def __init__(self, network: Network) -> None:
        self.name, self.fingerprint = network.name, network.fingerprint
        self._network = network
        self.ended_s: list[float] = []

    def __call__(self, inputs: Inputs) -> Outputs:
        outputs = self._network(inputs)
        self.ended_s.append(time.perf_counter())
        return outputs


class _Model:
    def __init__(self) -> None:
        self._model = EmbeddedModel(_ID)
        self._process = self._model._drawing_process
        assert self._process is not None, "on one core nothing is drawn beside"
        self.info: ModelInfo = self._model.info
        self.max_rows: Mapping[str, int] = {}
        self.thread_ms: list[float] = []  # of the engine's thread, for each preview

    @property
    def is_loading_previews(self) -> bool:
        return not (self._process and self._process._is_ready.is_set())

    def draw_beside(self, is_beside: bool) -> None:
        vars(self._model)["_drawing_process"] = self._process if is_beside else None

    def load(self) -> Mapping[str, Network]:
        networks = dict(self._model.load())
        self.denoiser = networks["denoiser"] = _Ends(networks["denoiser"])
        return networks

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

        def preview(outputs: Outputs) -> Pixels | Promise:
            before_s = time.thread_time()
            try:
                return draw(outputs)
            finally:
                self.thread_ms.append((time.thread_time() - before_s) * 1000)

        return preview


@dataclass
class Found:
    """Of one way, ms: the engine's thread for each preview, each turn's intervals by scene, and how
    many previews came of those that were due."""

    thread_ms: list[float] = field(default_factory=list)
    turns: list[list[NDArray[np.float64]]] = field(default_factory=list)
    num_came: int = 0
    num_due: int = 0

    def least_ms(self, steps: Sequence[int]) -> tuple[float, float]:
        """Of an interval that follows one of the steps, and of all of an image's together: the
        least of the turns, of which the busiest machine leaves some alone; means of the scenes."""
        turns = np.array(self.turns)  # (turns, scenes, steps - 1)
        after = turns[:, :, [step - 1 for step in steps]].min(axis=0).mean()
        return float(after), float(turns.sum(axis=2).min(axis=0).mean())


async def measured(num_turns: int) -> Mapping[str, Found]:
    model = _Model()
    engine = ThreadEngine([model], max_queued_jobs=1, max_running_jobs=1)
    await engine.start()
    found = {name: Found() for name in (NONE, ENGINE, BESIDE)}
    try:
        while not engine.stats().is_ready:
            await asyncio.sleep(0.01)
        await _warm_up(engine, model)
        for _ in range(num_turns):
            for one in found.values():
                one.turns.append([])
            for seed, prompt in enumerate(PROMPTS, start=1):
                for name, one in found.items():
                    num_previews = 0 if name == NONE else MAX_PREVIEWS
                    params = ImageParams(_ID, prompt, seed=seed, num_previews=num_previews)
                    await _add(one, engine, model, params, is_beside=name == BESIDE)
    finally:
        await engine.stop()
    return found


async def _warm_up(engine: ThreadEngine, model: _Model) -> None:
    """Until the process is there, and has drawn."""
    model.draw_beside(True)
    while model.is_loading_previews:
        await _image(engine, ImageParams(_ID, PROMPTS[0], seed=1, num_previews=MAX_PREVIEWS))
    for prompt in PROMPTS:
        await _image(engine, ImageParams(_ID, prompt, seed=1, num_previews=MAX_PREVIEWS))


async def _add(
    found: Found, engine: ThreadEngine, model: _Model, params: ImageParams, is_beside: bool
) -> None:
    model.draw_beside(is_beside)
    model.denoiser.ended_s.clear()
    model.thread_ms.clear()
    found.num_came += await _image(engine, params)
    found.thread_ms += model.thread_ms
    found.num_due += params.num_previews
    found.turns[-1].append(np.diff(model.denoiser.ended_s) * 1000)


async def _image(engine: ThreadEngine, params: ImageParams) -> int:
    """How many previews came."""
    events = [event async for event in engine.generate(params)]
    assert isinstance(events[-1], JobSucceeded), events[-1]
    return sum(isinstance(event, StepCompleted) and event.preview is not None for event in events)


def table(found: Mapping[str, Found]) -> str:
    num_steps = 1 + len(found[NONE].turns[0][0])
    steps = sorted(due(num_steps, MAX_PREVIEWS))
    bare, bare_image = found[NONE].least_ms(steps)
    lines = [
        "| previews | the engine's thread, ms each | interval after one, ms | delay of it |"
        " delay of all of an image's, by each | came |\n|---|---|---|---|---|---|"
    ]
    for name, one in found.items():
        after, image = one.least_ms(steps)
        thread = f"{np.median(one.thread_ms):.2f}" if one.thread_ms else ""
        delays = f"{after / bare - 1:+.1%} | {(image - bare_image) / len(steps) / bare:+.1%}"
        came = f"{one.num_came} of {one.num_due}" if one.num_due else ""
        lines.append(f"| {name} | {thread} | {after:.2f} | {delays} | {came} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench previews", description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help=f"of {3 * len(PROMPTS)} images")
    options = parser.parse_args(arguments)
    print(table(asyncio.run(measured(options.turns))))
