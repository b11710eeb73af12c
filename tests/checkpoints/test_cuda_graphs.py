"""CUDA graphs without a CUDA device: what is recorded when, and what is never played back.

A stand-in plays a "graph" by evaluating again into the memory that it was recorded with, as a
graph does. Whether a device records and plays what it should is not tested here.
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
    from daguerre.models.diffusers.executors.base import NetworkMethod
    from daguerre.models.diffusers.executors.cuda_graphs import CapturedGraph, CUDAGraphExecutor


class GraphCapturer:
    """Stands in for the device; `error` is thrown at the next recording, `change` is added to what
    is played."""

    def __init__(self) -> None:
        self.num_recorded = 0
        self.error: Exception | None = None
        self.change = 0.0

    def __call__(self, method: NetworkMethod, inputs: Inputs) -> CapturedGraph:
        from daguerre.models.diffusers.executors.cuda_graphs import CapturedGraph

        if self.error:
            raise self.error
        self.num_recorded += 1
        tensors: dict[str, Any] = {n: held for n, held in inputs.items() if torch.is_tensor(held)}
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        outputs: Any = method.evaluate({**inputs, **own})[1]

        def replay() -> None:
            for held, new in zip(outputs, method.evaluate({**inputs, **own})[1], strict=True):
                held.copy_(new + self.change)

        return CapturedGraph(own, outputs, replay)


def make(device: str = "cuda") -> tuple[CUDAGraphExecutor, GraphCapturer]:
    from daguerre.models.diffusers.executors.base import ExecutionTarget, NetworkMethod
    from daguerre.models.diffusers.executors.cuda_graphs import CUDAGraphExecutor

    def evaluate(inputs: Inputs) -> tuple[Any, Outputs]:
        x: Any = inputs["x"]
        return None, (2 * x,)

    method = NetworkMethod("double", torch.nn.Identity(), evaluate)
    recorder = GraphCapturer()
    target = ExecutionTarget(
        "cuda-graphs", torch.device(device), "float32", "", capture_graph=recorder
    )
    return CUDAGraphExecutor(method, target), recorder


def rows(number: int, value: float = 1.0) -> dict[str, Any]:
    return {"x": torch.full((number, 3), value)}


def test_recorded_when_seen_before() -> None:
    """Once eagerly, then recorded, then played back with the inputs of each call."""
    network, recorder = make()
    for call, num_recorded in enumerate((0, 1, 1, 1), start=1):
        assert torch.equal(network(rows(2, call))[0], 2 * rows(2, call)["x"])
        assert recorder.num_recorded == num_recorded


def test_outputs_are_the_callers() -> None:
    """A later play overwrites neither what an earlier one gave nor its inputs."""
    network, _ = make()
    inputs = rows(2)
    first, second, third = (network(inputs)[0] for _ in range(3))
    network(rows(2, 5.0))
    assert all(torch.equal(output, 2 * rows(2)["x"]) for output in (first, second, third))
    assert torch.equal(inputs["x"], rows(2)["x"])


def test_each_shape_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of rows and signatures are recorded apart; the one not used for longest goes."""
    from daguerre.models.diffusers.executors import cuda_graphs

    monkeypatch.setattr(cuda_graphs, "MAX_GRAPHS", 2)
    network, recorder = make()
    for inputs in (rows(1), rows(2), rows(1) | {"option": 3}):
        for _ in range(3):
            network(inputs)
    assert recorder.num_recorded == 3
    network(rows(2))  # is there
    assert recorder.num_recorded == 3
    network(rows(1))  # had to go; was seen, so it is recorded at once
    assert recorder.num_recorded == 4


def test_other_bits_are_refused() -> None:
    """A graph that plays something else is told at once, not used."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, recorder = make()
    network(rows(2))
    recorder.change = 1e-6
    with pytest.raises(ExecutorError, match="differs from the eager call"):
        network(rows(2))


def test_no_room_is_no_fault() -> None:
    """Then that shape runs eagerly for good, with the same bits; others are recorded."""
    network, recorder = make()
    recorder.error = RuntimeError("CUDA out of memory")
    for _ in range(3):
        assert torch.equal(network(rows(2))[0], 2 * rows(2)["x"])
    recorder.error = None
    for _ in range(3):
        network(rows(2))
    assert recorder.num_recorded == 0
    for _ in range(2):
        network(rows(1))
    assert recorder.num_recorded == 1


def test_call_that_cannot_be_recorded() -> None:
    """Whatever the runtime throws is the network's to deal with: it runs eagerly from then on."""
    network, recorder = make()
    network(rows(2))
    recorder.error = RuntimeError("operation not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted"):
        network(rows(2))


def test_not_a_number_is_the_same_bits() -> None:
    """What overflows does so in both: no reason to refuse a graph."""
    network, recorder = make()
    for _ in range(3):
        assert torch.isnan(network(rows(2, float("nan")))[0]).all()
    assert recorder.num_recorded == 1


def test_without_a_device_it_is_eager(
    folder_of: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The catalog refuses this; whoever gets past it is warned."""
    with caplog.at_level(logging.WARNING, "daguerre"):
        bench = Bench(folder_of("stable-diffusion"), executor="cuda-graphs")
    assert "CUDA graphs need a CUDA device; the device is cpu" in caplog.text
    assert bench.networks["unet"].fingerprint.endswith("unet eager")


def test_one_memory_for_a_checkpoint(folder_of: Callable[[str], Path]) -> None:
    """What records is the checkpoint's, for all its networks, and goes with what is loaded."""
    bench = Bench(folder_of("stable-diffusion"))
    networks: list[Any] = [bench.networks[name] for name in ("unet", "vae")]
    recorders = {network._target.capture_graph for network in networks}
    (recorder,) = recorders
    held = weakref.ref(recorder)
    bench.model.unload()
    del recorder, recorders, networks, bench
    gc.collect()
    assert held() is None


def test_order_of_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warmed up on a side stream that waits for the work before, recorded into the shared memory,
    and played by the graph; the calls fit torch's own signatures."""
    import inspect

    from daguerre.models.diffusers.executors import cuda_graphs

    told: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append(f"{self.name} waits for {other.name}")

    class CUDAGraph:
        def replay(self) -> None:
            told.append("replay")

    recording = inspect.signature(torch.cuda.graph)

    @contextlib.contextmanager
    def record(*args: Any, **kwargs: Any) -> Any:
        given = recording.bind(*args, **kwargs).arguments
        told.append(f"record on {given['stream'].name} in {given['pool']}")
        yield
        told.append("recorded")

    current, side = Stream("current"), Stream("side")
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", CUDAGraph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")

    network, _ = make()
    method, inputs = network._method, rows(2)
    graph = cuda_graphs.GraphCapturer(torch.device("cuda"))(method, inputs)
    graph(inputs)
    assert told == [
        "side waits for current",
        "current waits for side",
        "record on side in pool",
        "recorded",
        "replay",
    ]
