"""The OpenVINO executor: close to torch, cached on disk, and refused after a wrong conversion."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from no_network import side_effects

from daguerre.engine.forward import Inputs, Outputs
from daguerre.errors import UnavailableError

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.openvino import OpenVINOExecutor


def make(
    compute: Callable[[Any], Any] | None = None,
    folder: Path | None = None,
    dtype: str = "float32",
    **target: Any,
) -> tuple[OpenVINOExecutor, Callable[[Inputs], tuple[Any, Outputs]]]:
    """An executor for a linear layer followed by `compute`, and the evaluation by torch."""
    from daguerre.models.diffusers.executors.base import ExecutionTarget, NetworkMethod
    from daguerre.models.diffusers.executors.openvino import OpenVINOExecutor
    from daguerre.storage.artifact_cache import ArtifactCache

    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    module = torch.nn.Linear(8, 4, dtype=getattr(torch, dtype))

    def evaluate(inputs: Inputs) -> tuple[Any, Outputs]:
        y = module(inputs["x"])
        return None, (compute(y) if compute else y, y.sum(1))

    store = ArtifactCache(folder, 1 << 40) if folder else None
    where = ExecutionTarget("openvino", torch.device("cpu"), dtype, "fingerprint", store, **target)
    return OpenVINOExecutor(NetworkMethod("linear", module, evaluate), where), evaluate


def rows(number: int, dtype: str = "float32") -> Inputs:
    generator = torch.Generator().manual_seed(number)
    return {"x": torch.randn(number, 8, generator=generator).to(getattr(torch, dtype))}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_any_number_of_rows(dtype: str) -> None:
    """A graph supports every number of rows, with torch's shapes and types."""
    network, evaluate = make(dtype=dtype)
    for number in (1, 2, 3, 5, 6, 1):
        ours, theirs = network(rows(number, dtype)), evaluate(rows(number, dtype))[1]
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape
            assert torch.allclose(one, other, rtol=1e-5 if dtype == "float32" else 0.05, atol=0.02)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_type_in_float32(dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CPU without fast bfloat16 computes in float32, also operations that OpenVINO has in no half
    type. Only the result is rounded."""
    from daguerre.models.diffusers.executors import openvino

    monkeypatch.setattr(openvino, "has_fast_bfloat16", lambda: False)

    def normalize(y: Any) -> Any:
        return torch.nn.functional.group_norm(y.reshape(-1, 4, 1, 1), 2) * 3

    network, _ = make(normalize, tmp_path, dtype)
    inputs = rows(2, dtype)
    exact: Any = network._method.evaluate_in_float32(inputs)
    found: Any = network(inputs)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == getattr(torch, dtype)
        limit = torch.finfo(ours.dtype).eps * theirs.abs().max()
        assert (ours.float() - theirs).abs().max() <= limit
    assert "converted to float32" in network.fingerprint


def test_outputs_own_their_memory() -> None:
    """A later call does not overwrite the outputs."""
    network, _ = make()
    first: Any = network(rows(2))
    before = [output.clone() for output in first]
    network({"x": torch.ones(2, 8)})
    assert all(map(torch.equal, first, before))


def test_wrong_conversion_is_refused() -> None:
    """A graph that treats the number of rows as a constant is refused."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, _ = make(lambda y: y * len(y))
    with pytest.raises(ExecutorError, match="output 0 differs from torch's"):
        network(rows(2))


@pytest.mark.parametrize("read", [lambda y: bool(y.sum() > 0), lambda y: int(y.argmax())])
def test_value_dependent_method_is_refused(read: Callable[[Any], int]) -> None:
    """A trace would fix a branch or a number to that of the example."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, _ = make(lambda y: y + read(y))
    with pytest.raises(ExecutorError, match="depends on the values"):
        network(rows(2))


@pytest.mark.parametrize(
    ("error", "num_tries"),
    [
        (RuntimeError("no such operation"), [1, 1, 2]),
        (RuntimeError("std::bad_alloc"), [1, 2, 3]),
        (OSError("no space left on device"), [1, 2, 3]),
        (RuntimeError("can't start new thread"), [1, 2, 3]),
        (RuntimeError("Resource temporarily unavailable"), [1, 2, 3]),
    ],
)
def test_failed_conversion_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, num_tries: list[int]
) -> None:
    """It is not tried again until its entry in the cache is deleted, which the error says; lack of
    memory, disk space or threads is not remembered."""
    from daguerre.models.diffusers.executors import openvino

    tries: list[Any] = []

    def failing(*args: Any) -> Any:
        tries.append(args)
        raise error

    monkeypatch.setattr(openvino, "trace", failing)
    counts = []
    for is_deleted in (False, False, True):
        for entry in tmp_path.iterdir() if is_deleted else ():
            shutil.rmtree(entry)
        with pytest.raises(Exception, match=str(error)) as caught:
            make(folder=tmp_path)[0](rows(2))
        counts.append(len(tries))
        if len(counts) == 2 and counts[1] == 1:
            (entry,) = tmp_path.iterdir()
            assert f"to retry, delete {entry}" in str(caught.value)
    assert counts == num_tries


WEIGHTS_BYTES = 4 * (8 * 4 + 4)


def row_numbers(network: OpenVINOExecutor) -> list[int]:
    """Of the compiled calls, least recently used first."""
    return [number for _, number in network._calls]


def test_compiled_calls_share_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used call of any network is evicted for a new one, which has the same
    bits later."""
    from daguerre.models.diffusers.executors import openvino
    from daguerre.models.diffusers.executors.compiled_calls import CompiledCalls

    networks: list[OpenVINOExecutor] = []

    def free_bytes() -> int:  # three calls fit
        return WEIGHTS_BYTES * (3 - sum(len(network._calls) for network in networks))

    monkeypatch.setattr(openvino, "anonymous_bytes", lambda: 0)
    compiled = CompiledCalls(free_bytes)
    networks += [make(compiled=compiled)[0] for _ in range(2)]
    one, other = networks
    other._method = replace(other._method, name="other")
    expected = one(rows(1))
    other(rows(1))
    one(rows(2))
    one(rows(1))
    one(rows(3))
    assert (row_numbers(one), row_numbers(other)) == ([2, 1, 3], [])
    other(rows(1))
    other(rows(2))
    assert (row_numbers(one), row_numbers(other)) == ([3], [1, 2])
    assert all(map(torch.equal, one(rows(1)), expected))


def test_measured_size_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call counts as large as the largest so far, activations included."""
    from daguerre.models.diffusers.executors import openvino
    from daguerre.models.diffusers.executors.compiled_calls import CompiledCalls

    used = iter([1000, 9000, 9000, 10_000])
    monkeypatch.setattr(openvino, "anonymous_bytes", lambda: next(used))
    free = {"bytes": 8000}
    network, _ = make(compiled=CompiledCalls(lambda: free["bytes"]))
    network(rows(1))
    network(rows(2))
    assert row_numbers(network) == [1, 2]
    free["bytes"] = 7999  # the eviction frees nothing here, but the weights alone would fit
    monkeypatch.setattr(openvino, "anonymous_bytes", lambda: 0)
    network(rows(3))
    assert row_numbers(network) == [3]


def test_measured_peak_of_a_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are evicted for the conversion of another size, which takes more than a call."""
    from daguerre.models.diffusers import memory_probe
    from daguerre.models.diffusers.executors.compiled_calls import CompiledCalls

    free = {"bytes": 1 << 40}
    network, _ = make(compiled=CompiledCalls(lambda: free["bytes"]))
    monkeypatch.setattr(memory_probe.ProcessMemoryProbe, "num_bytes", lambda self: 1 << 39)
    network(rows(1))
    monkeypatch.setattr(memory_probe.ProcessMemoryProbe, "num_bytes", lambda self: 0)
    network(rows(2))  # has the same graph
    assert row_numbers(network) == [1, 2]
    free["bytes"] = 1 << 38
    network({"x": torch.ones(3, 5, 8)})
    assert row_numbers(network) == [3]


def test_size_that_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    """The error says how much memory is needed and free; sizes that fit are served. The log says
    what the operator can do, because the first size may be the one that does not fit."""
    from daguerre.models.diffusers.executors.compiled_calls import CompiledCalls

    free = {"bytes": WEIGHTS_BYTES}
    network, _ = make(compiled=CompiledCalls(lambda: free["bytes"]))
    network(rows(1))
    network._call_bytes = 3_000_000_000
    assert network._weights_bytes == WEIGHTS_BYTES
    free["bytes"] = -1 << 40
    with pytest.raises(UnavailableError, match=r"linear needs 3\.00 GB .* but .* GB are free"):
        network(rows(2))
    assert 'set executor = "eager"' in caplog.text
    free["bytes"] = WEIGHTS_BYTES
    network(rows(2))


def test_order_of_shapes_does_not_matter(tmp_path: Path) -> None:
    """The bits do not depend on which number of rows ran first, nor on the cache."""
    networks = [make(folder=tmp_path / "one")[0], make(folder=tmp_path / "two")[0], make()[0]]
    for network, number in zip(networks, (1, 4, 3), strict=True):
        network(rows(number))
    outputs = [network(rows(2)) for network in networks]
    for other in outputs[1:]:
        assert all(map(torch.equal, outputs[0], other))
    folders = [list((tmp_path / name).iterdir()) for name in ("one", "two")]
    assert [f.name for f in folders[0]] == [f.name for f in folders[1]]
    assert sorted(f.suffix for f in folders[0][0].iterdir()) == [".bin", ".xml"]


def test_damaged_file_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An unreadable file is logged and converted again."""
    expected = make(folder=tmp_path)[0](rows(2))
    (graph,) = tmp_path.rglob("*.xml")
    graph.write_text("<net>")
    with caplog.at_level(logging.WARNING, "daguerre"):
        found = make(folder=tmp_path)[0](rows(2))
    assert all(map(torch.equal, found, expected))
    assert "damaged" in caplog.text and graph.read_text() != "<net>"


def test_removed_cache(tmp_path: Path) -> None:
    """After the cache is deleted, a loaded network still runs, also with other numbers of rows, and
    a new one is converted to the same bits."""
    network, _ = make(folder=tmp_path)
    network(rows(1))
    for entry in tmp_path.iterdir():
        shutil.rmtree(entry)
    found, again = network(rows(3)), make(folder=tmp_path)[0](rows(3))
    assert all(map(torch.equal, found, again)) and len(list(tmp_path.iterdir())) == 1


def test_concurrent_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower of two servers uses the other's graph and leaves no second one."""
    from daguerre.models.openvino import ov

    save = ov.save_model
    concurrent: list[Any] = []

    def save_later(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(ov, "save_model", save)
        concurrent.append(make(folder=tmp_path)[0](rows(2)))
        save(*args, **kwargs)

    monkeypatch.setattr(ov, "save_model", save_later)
    found = make(folder=tmp_path)[0](rows(2))
    assert all(map(torch.equal, found, concurrent[0])) and len(list(tmp_path.iterdir())) == 1


def test_read_only_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The graph is kept in memory, with a warning."""
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "daguerre"):
        found = make(folder=tmp_path / "file" / "below")[0](rows(2))
    assert all(map(torch.equal, found, make()[0](rows(2))))
    assert "cannot cache a network" in caplog.text


def test_warm_up_yields_between_parts(tmp_path: Path) -> None:
    """Preparation yields between its parts, and does nothing the second time."""
    network, _ = make(folder=tmp_path)
    assert len(list(network.warm_up(rows(2)))) >= 4
    assert list(network.warm_up(rows(2))) == []
    assert len(list(network.warm_up(rows(3)))) == 1  # compiles this number of rows
    network(rows(3))


@pytest.mark.parametrize("call", ["convert_from_torch(linear, [x])", "ov.convert_model(linear)"])
def test_conversion_reports_nothing(call: str, tmp_path: Path) -> None:
    """It opens no connection, forks no process and writes nothing to the home directory."""
    program = f"""
import torch
from daguerre.models.openvino import convert_from_torch, ov
linear, x = torch.nn.Linear(8, 4), torch.zeros(2, 8)
{call}
"""
    assert side_effects(program, tmp_path) == []
