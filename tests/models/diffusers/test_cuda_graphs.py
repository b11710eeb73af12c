"""The CUDA graphs executor without a CUDA device: when it captures, and what it refuses to replay.

A fake graph replays by evaluating into the memory of its capture, as a real one does. Captures on a
device are not tested here.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daguerre.engine.forward import Inputs, Outputs

from .conftest import REASON, Bench

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.base import ExecutionTarget, NetworkMethod
    from daguerre.models.diffusers.executors.cuda_graphs import CapturedGraph, CUDAGraphExecutor


class FakeCapturer:
    """Replaces the device; a capture raises `error`, and a replay adds `change` to the outputs."""

    def __init__(self) -> None:
        self.num_captured = 0
        self.error: Exception | None = None
        self.change = 0.0

    def __call__(self, method: NetworkMethod, inputs: Inputs) -> CapturedGraph:
        from daguerre.models.diffusers.executors.cuda_graphs import CapturedGraph

        if self.error:
            raise self.error
        self.num_captured += 1
        tensors: dict[str, Any] = {n: held for n, held in inputs.items() if torch.is_tensor(held)}
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        outputs: Any = method.evaluate({**inputs, **own})[1]

        def replay() -> None:
            for held, new in zip(outputs, method.evaluate({**inputs, **own})[1], strict=True):
                held.copy_(new + self.change)

        return CapturedGraph(own, outputs, replay)


def make(device: str = "cuda") -> tuple[CUDAGraphExecutor, FakeCapturer]:
    from daguerre.models.diffusers.executors.base import NetworkMethod
    from daguerre.models.diffusers.executors.cuda_graphs import CUDAGraphExecutor

    def evaluate(inputs: Inputs) -> tuple[Any, Outputs]:
        x: Any = inputs["x"]
        return None, (2 * x,)

    method = NetworkMethod("double", torch.nn.Identity(), evaluate)
    capturer = FakeCapturer()
    return CUDAGraphExecutor(method, make_target(device, capturer)), capturer


def make_target(device: str, capturer: FakeCapturer | None = None) -> ExecutionTarget:
    from daguerre.models.diffusers.executors.base import ExecutionTarget

    return ExecutionTarget(
        "cuda-graphs", torch.device(device), "float32", "", capture_graph=capturer
    )


def rows(number: int, value: float = 1.0) -> dict[str, Any]:
    return {"x": torch.full((number, 3), value)}


def test_second_call_is_captured() -> None:
    """The first call runs eagerly, the second is captured, and later ones are replayed."""
    network, capturer = make()
    for call, num_captured in enumerate((0, 1, 1, 1), start=1):
        assert torch.equal(network(rows(2, call))[0], 2 * rows(2, call)["x"])
        assert capturer.num_captured == num_captured


def test_outputs_own_their_memory() -> None:
    """A later replay overwrites neither the outputs nor the inputs of an earlier one."""
    network, _ = make()
    inputs = rows(2)
    first, second, third = (network(inputs)[0] for _ in range(3))
    network(rows(2, 5.0))
    assert all(torch.equal(output, 2 * rows(2)["x"]) for output in (first, second, third))
    assert torch.equal(inputs["x"], rows(2)["x"])


def test_each_shape_has_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number of rows and signature has a graph; the least recently used one is evicted."""
    from daguerre.models.diffusers.executors import cuda_graphs

    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 2)
    network, capturer = make()
    for inputs in (rows(1), rows(2), rows(1) | {"option": 3}):
        for _ in range(3):
            network(inputs)
    assert capturer.num_captured == 3
    network(rows(2))  # cached
    assert capturer.num_captured == 3
    network(rows(1))  # evicted; known, so it is captured at once
    assert capturer.num_captured == 4


def test_different_bits_are_refused() -> None:
    """A graph that does not reproduce the eager bits is refused."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, capturer = make()
    network(rows(2))
    capturer.change = 1e-6
    with pytest.raises(ExecutorError, match="differs from the eager call"):
        network(rows(2))


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A shape without memory for a graph stays eager, with the same bits; others are captured, and
    keep their graphs. The log has torch's message, with the memory needed and free."""
    from daguerre.models.diffusers.executors import cuda_graphs

    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 2)
    network, capturer = make()
    for inputs in (rows(1), rows(3)):
        for _ in range(2):
            network(inputs)
    capturer.error = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    for _ in range(3):
        assert torch.equal(network(rows(2))[0], 2 * rows(2)["x"])
    assert caplog.text.count("Tried to allocate 2.00 GiB") == 1
    capturer.error = None
    for inputs in (rows(2), rows(2), rows(1), rows(3)):
        assert torch.equal(network(inputs)[0], 2 * inputs["x"])
    assert capturer.num_captured == 2
    for _ in range(2):
        network(rows(4))
    assert capturer.num_captured == 3


def test_shape_is_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call after a warm-up does not describe the inputs again; eager mode never does."""
    from daguerre.models.diffusers.executors import base

    described: list[Inputs] = []
    shape_key = base._shape_key

    def counted(inputs: Inputs) -> Any:
        described.append(inputs)
        return shape_key(inputs)

    monkeypatch.setattr(base, "_shape_key", counted)
    network, capturer = make()
    for num_calls in (1, 2, 3):
        inputs = rows(2)
        list(network.warm_up(inputs))
        network(inputs)
        assert len(described) == num_calls
    assert capturer.num_captured == 1
    list(network.warm_up(rows(2)))
    assert torch.equal(network(rows(3))[0], 2 * rows(3)["x"])  # not the inputs of the warm-up
    eager = base.EagerExecutor(network._method, make_target("cpu"))
    described.clear()
    assert list(eager.warm_up(rows(2))) == [] and len(eager(rows(2))) == 1 and described == []


def test_failed_capture() -> None:
    """The error of a capture reaches the network, which falls back to eager mode."""
    network, capturer = make()
    network(rows(2))
    capturer.error = RuntimeError("operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted"):
        network(rows(2))


def test_nan_is_equal() -> None:
    """NaN in both the replay and the eager call are equal."""
    network, capturer = make()
    for _ in range(3):
        assert torch.isnan(network(rows(2, float("nan")))[0]).all()
    assert capturer.num_captured == 1


def test_no_cuda_device(folder_of: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    """The network runs eagerly with a warning; the catalog refuses this combination earlier."""
    with caplog.at_level(logging.WARNING, "daguerre"):
        bench = Bench(folder_of("stable-diffusion"), executor="cuda-graphs")
    assert "CUDA graphs need a CUDA device; the device is cpu" in caplog.text
    assert bench.networks["unet"].fingerprint.endswith("unet eager")


def test_networks_share_a_memory_pool(folder_of: Callable[[str], Path]) -> None:
    """The networks of a checkpoint share one capturer, which unloading the model frees."""
    bench = Bench(folder_of("stable-diffusion"))
    networks: list[Any] = [bench.networks[name] for name in ("unet", "vae")]
    capturers = {network._target.capture_graph for network in networks}
    (capturer,) = capturers
    held = weakref.ref(capturer)
    bench.model.unload()
    del capturer, capturers, networks, bench
    gc.collect()
    assert held() is None


def test_order_of_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The capture warms up on a side stream, after earlier work, and uses the shared pool.
    Its calls match torch's signatures."""
    import inspect

    from daguerre.models.diffusers.executors import cuda_graphs

    log: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            log.append(f"{self.name} waits for {other.name}")

    class CUDAGraph:
        def replay(self) -> None:
            log.append("replay")

    graph_signature = inspect.signature(torch.cuda.graph)

    @contextlib.contextmanager
    def capture(*args: Any, **kwargs: Any) -> Any:
        given = graph_signature.bind(*args, **kwargs).arguments
        log.append(f"capture on {given['stream'].name} in {given['pool']}")
        yield
        log.append("captured")

    current, side = Stream("current"), Stream("side")
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", CUDAGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")

    network, _ = make()
    method, inputs = network._method, rows(2)
    graph = cuda_graphs.GraphCapturer(torch.device("cuda"))(method, inputs)
    graph(inputs)
    assert log == [
        "side waits for current",
        "current waits for side",
        "capture on side in pool",
        "captured",
        "replay",
    ]
