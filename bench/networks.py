"""Cost of the bundled model without a server: its forwards, and the engine's own time.

The operations of the denoiser are counted from its graph, and its forward is timed as the engine
calls it. Single images through the real engine show the time between forwards.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.durations import durations_s
from daguerre.config import Settings
from daguerre.engine.forward import ForwardRequest, Inputs, Network, Outputs
from daguerre.engine.pipeline import Pipeline
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.models.embedded.networks import OpenVINONetwork, inference_precision
from daguerre.models.openvino import openvino_core, ov
from daguerre.params import ImageParams, JobSucceeded, ModelInfo

ROWS = 2  # of one guided step: with the prompt, and with the negative prompt
_PARAMS = ImageParams(DEFAULT_MODEL, "a red apple on a wooden table", seed=1)


def num_operations(file: Path, rows: int) -> int:
    """Floating-point operations of one forward of the network in `file` with `rows` rows.

    2 * K * (elements of the output) for a matrix product whose inner dimension is K, and
    2 * L * S * (E + V) for each head of an attention of L queries of width E over S keys, with
    values of width V. Operations per element (norms, gates, softmax) are not counted: 1 to 2% of
    such a network. The computed share of the rate is therefore too low, never too high.
    """
    model = openvino_core().read_model(file)
    model.reshape({port: [rows, *list(port.partial_shape)[1:]] for port in model.inputs})
    return sum(_operations(node) for node in model.get_ops())


def _operations(node: ov.Node) -> int:
    kind = node.get_type_name()
    if kind == "MatMul":
        inner = -2 if node.get_attributes()["transpose_a"] else -1
        return int(
            2 * list(node.input(0).get_shape())[inner] * math.prod(node.output(0).get_shape())
        )
    if kind == "ScaledDotProductAttention":
        query, key, value = (list(node.input(i).get_shape()) for i in range(3))
        heads = math.prod(query[:-2])
        return int(2 * heads * query[-2] * key[-2] * (query[-1] + value[-1]))
    if "Convolution" in kind or kind in ("Einsum", "LSTMSequence", "GRUSequence"):
        raise ValueError(f"operations of {kind} are not counted; MatMul and attention are")
    return 0


def served_precision(settings: Settings) -> str:
    """The precision that the settings select on this machine: float32 or bfloat16."""
    return {"f32": "float32", "bf16": "bfloat16"}[inference_precision(settings.embedded_precision)]


def denoiser_durations_s(settings: Settings, precision: str, seconds: float) -> list[float]:
    """Durations of forwards with `ROWS` rows, called as the engine calls them."""
    networks = _embedded(replace(settings, embedded_precision=precision)).load()
    forward = _first_denoising(_embedded(settings), networks)
    return durations_s(lambda: networks["denoiser"](forward.inputs), seconds=seconds)


def _embedded(settings: Settings) -> EmbeddedModel:
    return EmbeddedModel(
        DEFAULT_MODEL,
        num_threads=settings.threads_per_worker,
        precision=settings.embedded_precision,
        num_inference_steps=settings.embedded_steps,
    )


def _first_denoising(model: EmbeddedModel, networks: Mapping[str, Network]) -> ForwardRequest:
    pipeline = model.pipeline(_PARAMS)
    forward = next(pipeline)
    while forward.stage == "encode":
        forward = pipeline.send(networks[forward.network](forward.inputs))
    return forward


@dataclass(frozen=True, slots=True)
class EngineCost:
    """Medians in ms for one image alone in the engine.

    `forwards_ms` is measured by the runtime, for the decoder by this module. `between_ms` is the
    rest of the stages encode, denoise and decode: sampler, copies, events.
    """

    forwards_ms: float
    between_ms: float


class _TimedNetwork:
    def __init__(self, network: Network) -> None:
        self.name, self.fingerprint = network.name, network.fingerprint
        self.spent_ms = 0.0
        self._network = network

    def __call__(self, inputs: Inputs) -> Outputs:
        started_s = time.perf_counter()
        outputs = self._network(inputs)
        spent_ms = (time.perf_counter() - started_s) * 1000
        clocked = self._network if isinstance(self._network, OpenVINONetwork) else None
        self.spent_ms += clocked.latency_ms if clocked else spent_ms
        return outputs


class _TimedModel:
    """The bundled model with networks that measure their time."""

    def __init__(self, model: EmbeddedModel) -> None:
        self.info: ModelInfo = model.info
        self.max_batch_size = model.max_batch_size
        self.num_bytes = model.num_bytes
        self._model = model
        self.networks: Sequence[_TimedNetwork] = ()

    def load(self) -> Mapping[str, Network]:
        networks = self._model.load()
        timed = {name: _TimedNetwork(network) for name, network in networks.items()}
        self.networks = tuple(timed.values())
        return timed

    def batch_class(self, params: ImageParams) -> None:
        return None

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._model.pipeline(params)

    def spent_ms(self) -> float:
        return sum(network.spent_ms for network in self.networks)


def engine_cost(settings: Settings, num_images: int) -> EngineCost:
    return asyncio.run(_engine_cost(settings, num_images))


async def _engine_cost(settings: Settings, num_images: int) -> EngineCost:
    model = _TimedModel(_embedded(settings))
    engine = ThreadEngine([model], max_queued_jobs=1, max_running_jobs=1)
    await engine.start()
    try:
        while not engine.stats().is_ready:
            await asyncio.sleep(0.01)
        costs = [await _cost_of_one(engine, model) for _ in range(1 + num_images)][1:]
    finally:
        await engine.stop()
    return EngineCost(
        statistics.median(cost.forwards_ms for cost in costs),
        statistics.median(cost.between_ms for cost in costs),
    )


async def _cost_of_one(engine: ThreadEngine, model: _TimedModel) -> EngineCost:
    before_ms = model.spent_ms()
    events = [event async for event in engine.generate(_PARAMS)]
    assert isinstance(events[-1], JobSucceeded), events[-1]
    forwards_ms = model.spent_ms() - before_ms
    timings = events[-1].image.timings
    stages_ms = timings.encode_ms + timings.denoise_ms + timings.decode_ms
    return EngineCost(forwards_ms, stages_ms - forwards_ms)


def denoiser_file() -> Path:
    return WEIGHTS / "denoiser.xml"
