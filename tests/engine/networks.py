"""Small numpy networks and models for the tests of the engine.

Each network is exact, or inexact in one known way. It counts its calls and advances its own clock,
so a test controls the cost of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
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
    """Exact: a row's output depends on that row only. By default a batch takes as long as a job."""

    name: str
    clock: Clock = field(default_factory=Clock)
    added_cost: float = 0.0
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
        self.clock.now_s += self.forward_s * (1 + self.added_cost * (len(x) - 1))
        return (self.compute(x),)

    def compute(self, x: Array) -> Array:
        # Chaotic under iteration: one different low bit becomes another image after some steps.
        y: Array = np.sin(x * np.float32(7))
        return y


class RowCountNetwork(ToyNetwork):
    """Low bits depend on the number of rows, as with a kernel that is chosen by batch size."""

    def compute(self, x: Array) -> Array:
        return super().compute(x) + np.float32(1e-6 * (len(x) - 1))


class PositionNetwork(ToyNetwork):
    """The fourth row has different low bits."""

    def compute(self, x: Array) -> Array:
        y = super().compute(x)
        y[3:4] += np.float32(1e-6)
        return y


class LoudNetwork(ToyNetwork):
    """Exact among quiet rows, inexact beside a loud one, as with one scale for a whole batch."""

    def compute(self, x: Array) -> Array:
        coarse = np.float32(np.abs(x).max() > 4) * np.float32(1e-6)
        return super().compute(x) + coarse


class SharedMemoryNetwork(RowCountNetwork):
    """Inexact, and reuses its output memory, as a runtime's output tensor does."""

    memory: Array | None = None

    def compute(self, x: Array) -> Array:
        if self.memory is None:
            self.memory = np.zeros((64, *x.shape[1:]), np.float32)
        self.memory[: len(x)] = super().compute(x)
        return self.memory[: len(x)]


@dataclass
class CompilingNetwork(ToyNetwork):
    """Has two parts of warm-up before its first forward with a number of rows."""

    on_compile: Callable[[], object] = lambda: None
    compiled: list[int] = field(default_factory=list)  # numbers of rows

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) not in self.compiled:
            yield
            self.on_compile()
            yield
            self.compiled.append(len(x))

    def __call__(self, inputs: Inputs) -> Outputs:
        assert not list(self.warm_up(inputs)), "a forward without warm-up"
        return super().__call__(inputs)


@dataclass(eq=False)
class ToyMemoryProbe:
    """A memory with `num_free` bytes. An evaluation needs `fixed` bytes and `per_row` for each row.

    It is its own `PeakMemory`.
    """

    num_free: int
    per_row: int = 100
    fixed: int = 0
    has_fixed_overhead: bool = False
    peak: int = 0

    def free(self) -> int:
        return self.num_free

    @contextmanager
    def track_peak(self) -> Iterator[ToyMemoryProbe]:
        self.reset()
        yield self

    def reset(self) -> None:
        self.peak = 0

    def num_bytes(self) -> int | None:
        return self.peak

    def allocate(self, num_bytes: int) -> None:
        self.peak = max(self.peak, num_bytes)
        if num_bytes > self.num_free:
            raise MemoryError


@dataclass
class ProbedNetwork(CompilingNetwork):
    """Runs out of memory if an evaluation needs more than its probe has free."""

    memory_probe: ToyMemoryProbe = field(default_factory=lambda: ToyMemoryProbe(1 << 40))

    def compute(self, x: Array) -> Array:
        self.memory_probe.allocate(self.memory_probe.fixed + self.memory_probe.per_row * len(x))
        return super().compute(x)


def shade(outputs: Outputs) -> Pixels:
    """A preview whose two pixels depend on the outputs."""
    x = np.asarray(outputs[0])
    pixels: Pixels = (np.abs(x[:, None]) * 255).astype(np.uint8)
    return pixels


@dataclass
class ChangingNetwork(ToyNetwork):
    """Changes to a network with different bits at its `changes_at`th call."""

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
            raise NetworkChanged("the first implementation failed")
        return super().__call__(inputs)

    def compute(self, x: Array) -> Array:
        return super().compute(x) + np.float32(1e-6 * self.is_changed)


@dataclass
class ToyModel:
    """Encodes the prompt, denoises two rows per step, and decodes to pixels of the requested size.

    The prompt "poison" fails in the pipeline, "classless" in `batch_class`, "nan" makes rows of
    NaN, and "wide" returns pixels of another size.
    """

    denoiser: ToyNetwork = field(default_factory=lambda: ToyNetwork("denoiser"))
    num_steps: int = 4
    max_rows: int = 16
    name: str = MODEL
    num_bytes: int = 0
    preview: Preview = lambda outputs: shade(outputs)
    batching: BatchingMode = "exact"
    on_load: Callable[[], object] = lambda: None
    on_pipeline: Callable[[], object] = lambda: None
    closed: list[int] = field(default_factory=list)  # seeds of the pipelines that have ended
    # Held, so that garbage collection does not close a pipeline.
    pipelines: list[Pipeline] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, weights_sha256="0" * 64, created=1, batching=self.batching)

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        return {"denoiser": self.max_rows}

    def load(self) -> Mapping[str, Network]:
        self.on_load()
        clock = self.denoiser.clock
        networks = (ToyNetwork("encoder", clock), self.denoiser, ToyNetwork("decoder", clock))
        return {network.name: network for network in networks}

    def batch_class(self, params: ImageParams) -> Hashable:
        if "classless" in params.prompt:
            raise ZeroDivisionError("no batch class")
        return None

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
            # The low bits show whether a batch was exact.
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
