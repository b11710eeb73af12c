"""The torch.compile executor: close to the eager network, and removed after each call."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench
from .test_executors import CLOSE, REQUEST, distance

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.torch_compile import TorchCompileExecutor

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs g++, which is not installed"
)


@pytest.fixture(autouse=True)
def _configuration() -> Iterator[None]:
    """Restores the compiler's settings, which apply to the process."""
    from torch._dynamo import config as tracing
    from torch._inductor import config as kernels

    with tracing.patch(fail_on_recompile_limit_hit=False), kernels.patch(deterministic=False):
        yield
    torch._dynamo.reset()


def make(folder: Path) -> tuple[TorchCompileExecutor, Any]:
    """An executor for three blocks in a list and a last layer, and its eager forward."""
    from daguerre.models.diffusers.executors.base import ExecutionTarget, NetworkMethod
    from daguerre.models.diffusers.executors.torch_compile import TorchCompileExecutor

    torch.manual_seed(0)
    torch.set_grad_enabled(False)

    def run_block(block: Any, x: Any) -> Any:
        return x + torch.nn.functional.silu(block.linear(x)) * 0.5

    module, kind = torch.nn.Module(), type("Block", (torch.nn.Module,), {"forward": run_block})
    module.blocks = torch.nn.ModuleList([kind() for _ in range(3)])
    for block in module.blocks:
        block.linear = torch.nn.Linear(8, 8)
    module.last = torch.nn.Linear(8, 4)

    def forward(x: Any) -> Any:
        for block in module.blocks:
            x = block(x)
        return module.last(x)

    method = NetworkMethod("n", module, lambda inputs: (None, (forward(inputs["x"]),)))
    cache = ArtifactCache(folder, 1 << 40)
    target = ExecutionTarget("compile", torch.device("cpu"), "float32", "", cache)
    return TorchCompileExecutor(method, target), forward


def rows(number: int) -> dict[str, Any]:
    return {"x": torch.randn(number, 8, generator=torch.Generator().manual_seed(number))}


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_shape_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The elements of a list are compiled for each shape. Equal inputs give equal bits, the module
    is eager between calls, and the cache holds the kernels."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    network, forward = make(tmp_path)
    assert [type(region).__name__ for region in network._regions] == ["Block"] * 3
    first: Any = network(rows(2))[0]
    for number in (1, 2, 3):
        assert torch.allclose(network(rows(number))[0], forward(**rows(number)), 1e-5, 1e-6)
    assert torch.equal(network(rows(2))[0], first)
    assert all(part._compiled_call_impl is None for part in network._regions)
    assert network.fingerprint.startswith("torch.compile c++ ")
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith("-torch") and any(kept.rglob("*.so"))


@needs_compiler
def test_repeated_blocks_are_the_regions(folder_of: Callable[[str], Path]) -> None:
    """If diffusers names repeated blocks of a network, these are compiled and nothing else."""
    bench = Bench(folder_of("stable-diffusion"), executor="compile")
    network: Any = bench.networks["unet"]
    assert {type(region).__name__ for region in network._executor._regions} == {
        "BasicTransformerBlock"
    }
    assert "torch.compile" in network.fingerprint


def test_nothing_to_compile() -> None:
    """A network of torch's own layers is refused instead of running eagerly in silence."""
    from daguerre.models.diffusers.executors.base import (
        ExecutionTarget,
        ExecutorError,
        NetworkMethod,
    )
    from daguerre.models.diffusers.executors.torch_compile import TorchCompileExecutor

    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    method = NetworkMethod("n", module, lambda inputs: (None, ()))
    with pytest.raises(ExecutorError, match="Sequential has no parts"):
        TorchCompileExecutor(method, ExecutionTarget("compile", torch.device("cpu"), "float32", ""))


def failing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("no such kernel")


def of_the_denoiser(call: Callable[..., Any]) -> Callable[[Any], Mapping[Any, Any]]:
    """Replaces torch's compiler: the regions of FLUX's denoiser run `call`."""

    def regions(module: Any) -> Mapping[Any, Any]:
        blocks = getattr(module, "single_transformer_blocks", ())
        return {block: functools.partial(call, block) for block in blocks}

    return regions


def negating(block: Any, *args: Any, **kwargs: Any) -> Any:
    return tuple(-output for output in block.forward(*args, **kwargs))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_compiler", failing, "no such kernel"),
        ("_regions", of_the_denoiser(failing), "no such kernel"),
        ("_regions", of_the_denoiser(negating), "differs from torch's by"),
    ],
)
def test_fault_falls_back_to_eager(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: Any,
    message: str,
) -> None:
    """Without a compiler, or with a region that fails or is wrong, the network runs eagerly with a
    warning, and the image is torch's."""
    from daguerre.models.diffusers.executors import torch_compile

    monkeypatch.setattr(torch_compile, "_compiler", lambda device: "none")
    monkeypatch.setattr(torch_compile, name, value)
    with caplog.at_level(logging.WARNING, "daguerre"):
        bench = Bench(folder_of("flux"), executor="compile")
        assert bench.images([REQUEST]) == Bench(folder_of("flux")).images([REQUEST])
    warnings = [record.getMessage() for record in caplog.records if "eager" in record.message]
    assert any("transformer runs eagerly" in text and message in text for text in warnings)
    assert bench.networks["transformer"].fingerprint.endswith("transformer eager")


@needs_compiler
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_more_shapes_than_torchs_limit(tmp_path: Path) -> None:
    """More than torch's 8 shapes are compiled, instead of running eagerly, and keep their bits."""
    from torch._dynamo.utils import counters

    network, forward = make(tmp_path)
    first = [network(rows(number))[0] for number in range(1, 13)]
    assert counters["stats"]["unique_graphs"] >= len(first)
    for number, output in enumerate(first, start=1):
        assert torch.equal(network(rows(number))[0], output)
        assert torch.allclose(output, forward(**rows(number)), 1e-5, 1e-6)


@needs_compiler
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_images_of_a_compiled_checkpoint(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The images look like torch's. A seed gives the same bits, also when the network is compiled
    again from the cache."""
    folder = folder_of("stable-diffusion")
    store = ArtifactCache(tmp_path, 1 << 40)
    eager, bench = Bench(folder), Bench(folder, executor="compile", store=store)
    drawn = bench.images([REQUEST])[0]
    assert distance(drawn, eager.images([REQUEST])[0]) <= CLOSE
    assert bench.images([REQUEST])[0] == drawn
    assert all("torch.compile" in bench.networks[name].fingerprint for name in ("unet", "vae"))
    torch._dynamo.reset()
    again = Bench(folder, executor="compile", store=store)
    assert again.images([REQUEST])[0] == drawn
