"""Networks and models of a few numpy lines for the tests of the engine.

Each network is exact or wrong in one known way, counts its calls, and moves a clock of its own, so
that what sharing costs is a number of the test and not of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from daguerre.engine.forward import (
    Array,
    ForwardRequest,
    Inputs,
    Network,
    NetworkChanged,
    Outputs,
    Preview,
)
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.params import BatchingMode, ImageParams, ModelInfo

MODEL = "toy"


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class ToyNetwork:
    """Exact: a row's output is a function of that row. `join_cost` 0: any batch takes as long."""

    name: str
    clock: Clock = field(default_factory=Clock)
    join_cost: float = 0.0
    forward_s: float = 1.0
    calls: list[int] = field(default_factory=list)  # rows of each call
    on_call: Callable[[Inputs], None] = lambda inputs: None

    @property
    def fingerprint(self) -> str:
        return f"{type(self).__name__} {self.name}"

    def __call__(self, inputs: Inputs) -> Outputs:
        arrays = [inputs[name] for name in sorted(inputs)]
        x = arrays[-1]
        assert isinstance(x, np.ndarray)
        self.calls.append(len(x))
        self.on_call(inputs)
        self.clock.now_s += self.forward_s * (1 + self.join_cost * (len(x) - 1))
        return (self.compute(x),)

    def compute(self, x: Array) -> Array:
        # Chaotic under iteration: after some steps one low bit has become another image.
        y: Array = np.sin(x * np.float32(7))
        return y


class RowCountNetwork(ToyNetwork):
    """Other low bits for other numbers of rows, as a kernel chosen by batch size gives."""

    def compute(self, x: Array) -> Array:
        return super().compute(x) + np.float32(1e-6 * (len(x) - 1))


class PlaceNetwork(ToyNetwork):
    """The fourth row has other low bits."""

    def compute(self, x: Array) -> Array:
        y = super().compute(x)
        y[3:4] += np.float32(1e-6)
        return y


class LoudNetwork(ToyNetwork):
    """Exact among quiet rows, coarse beside a loud one, as with one scale for a whole batch."""

    def compute(self, x: Array) -> Array:
        coarse = np.float32(np.abs(x).max() > 4) * np.float32(1e-6)
        return super().compute(x) + coarse


class SharedMemoryNetwork(RowCountNetwork):
    """Not exact, and hands out one memory again and again, as a runtime's output tensor is."""

    memory: Array | None = None

    def compute(self, x: Array) -> Array:
        if self.memory is None:
            self.memory = np.zeros((64, *x.shape[1:]), np.float32)
        self.memory[: len(x)] = super().compute(x)
        return self.memory[: len(x)]


@dataclass
class PreparingNetwork(ToyNetwork):
    """Has two things to do before its first forward with a number of rows, told to `on_prepare`."""

    on_prepare: Callable[[], object] = lambda: None
    prepared: list[int] = field(default_factory=list)  # rows

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) not in self.prepared:
            yield
            self.on_prepare()
            yield
            self.prepared.append(len(x))

    def __call__(self, inputs: Inputs) -> Outputs:
        assert not list(self.prepare(inputs)), "a forward that was not prepared"
        return super().__call__(inputs)


@dataclass(eq=False)
class ToyMemoryProbe:
    """Of a memory that has `num_free` bytes; an evaluation takes `fixed` of them, and `per_row`.
    Is its own measurement."""

    num_free: int
    per_row: int = 100
    fixed: int = 0
    has_fixed_overhead: bool = False
    taken: int = 0

    def free(self) -> int:
        return self.num_free

    @contextmanager
    def track_peak(self) -> Iterator[ToyMemoryProbe]:
        self.reset()
        yield self

    def reset(self) -> None:
        self.taken = 0

    def num_bytes(self) -> int | None:
        return self.taken

    def take(self, num_bytes: int) -> None:
        self.taken = max(self.taken, num_bytes)
        if num_bytes > self.num_free:
            raise MemoryError


@dataclass
class ProbedNetwork(PreparingNetwork):
    """Has no memory for more than its gauge says."""

    memory_probe: ToyMemoryProbe = field(default_factory=lambda: ToyMemoryProbe(1 << 40))

    def compute(self, x: Array) -> Array:
        self.memory_probe.take(self.memory_probe.fixed + self.memory_probe.per_row * len(x))
        return super().compute(x)


def shade(outputs: Outputs) -> Pixels:
    """Two pixels that the outputs decide."""
    x = np.asarray(outputs[0])
    pixels: Pixels = (np.abs(x[:, None]) * 255).astype(np.uint8)
    return pixels


@dataclass
class ChangingNetwork(ToyNetwork):
    """Becomes another network, with other bits, when it is called for the `changes_at`th time."""

    changes_at: int = 0
    num_calls: int = 0

    @property
    def is_changed(self) -> bool:
        return self.num_calls >= self.changes_at

    @property
    def fingerprint(self) -> str:
        return f"{super().fingerprint} {'changed' if self.is_changed else 'first'}"

    def __call__(self, inputs: Inputs) -> Outputs:
        was_changed = self.is_changed
        self.num_calls += 1
        if self.is_changed and not was_changed:
            raise NetworkChanged("the first has failed")
        return super().__call__(inputs)

    def compute(self, x: Array) -> Array:
        return super().compute(x) + np.float32(1e-6 * self.is_changed)


@dataclass
class ToyModel:
    """Encodes the prompt, denoises two rows a step, decodes to pixels of the size asked for.

    The prompt "poison" fails in the pipeline, "nan" makes rows of NaN, "wide" returns other pixels
    than asked for.
    """

    denoiser: ToyNetwork = field(default_factory=lambda: ToyNetwork("denoiser"))
    num_steps: int = 4
    rows_cap: int = 16
    name: str = MODEL
    preview: Preview = lambda outputs: shade(outputs)
    batching: BatchingMode = "exact"
    on_load: Callable[[], object] = lambda: None
    on_pipeline: Callable[[], object] = lambda: None
    closed: list[int] = field(default_factory=list)  # seeds of the pipelines that have ended
    # Kept, so that a pipeline that nobody closes is not closed by the collection of garbage.
    pipelines: list[Pipeline] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, weights_sha256="0" * 64, created=1, batching=self.batching)

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        return {"denoiser": self.rows_cap}

    def load(self) -> Mapping[str, Network]:
        self.on_load()
        clock = self.denoiser.clock
        networks = (ToyNetwork("encoder", clock), self.denoiser, ToyNetwork("decoder", clock))
        return {network.name: network for network in networks}

    def pipeline(self, params: ImageParams) -> Pipeline:
        self.on_pipeline()
        self.pipelines.append(self._generate(params))
        return self.pipelines[-1]

    def _generate(self, params: ImageParams) -> Pipeline:
        try:
            if "poison" in params.prompt:
                raise ZeroDivisionError("poison in the pipeline")
            text = np.array([[float(len(params.prompt))]], np.float32)
            (cond,) = yield ForwardRequest("encoder", {"text": text}, "encode")
            x = np.random.default_rng(params.seed).random((2, 3), np.float32) + cond * 0.01
            x *= np.float32("nan" if "nan" in params.prompt else 1)
            for index in range(1, self.num_steps + 1):
                t = np.full((2, 1), index / self.num_steps, np.float32)
                inputs: Inputs = {"t": t, "x": x, "size": params.width}
                step = (index, self.num_steps)
                (x,) = yield ForwardRequest("denoiser", inputs, "denoise", step, self.preview)
            (rgb,) = yield ForwardRequest("decoder", {"x": x[:1]}, "decode")
            # The low bits are where a merge that is not exact shows.
            colour = rgb.view(np.uint8).ravel()[:3]
            width = params.width + ("wide" in params.prompt)
            return np.tile(colour, (params.height, width, 1))
        finally:
            self.closed.append(params.seed)


def params(seed: int = 1, prompt: str = "a cat", model: str = MODEL, width: int = 8) -> ImageParams:
    return ImageParams(model=model, prompt=prompt, seed=seed, width=width, height=8)


def forward(
    network: str = "denoiser", rows: int = 2, seed: int = 0, width: int = 3
) -> ForwardRequest:
    x = np.random.default_rng(seed).random((rows, width), np.float32)
    return ForwardRequest(network, {"x": x}, "denoise")
