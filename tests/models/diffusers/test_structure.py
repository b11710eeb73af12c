"""A probe for the structure of a result leaves no trace in the module or in function caches."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import REASON, Bench, Request
from .test_images import FAMILIES, MIN_STEPS, SIZES

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)


def num_fake_tensors() -> int:
    from torch._subclasses.fake_tensor import FakeTensor

    gc.collect()
    return sum(issubclass(type(item), FakeTensor) for item in gc.get_objects())


@functools.cache
def positions(num: int) -> Any:
    return torch.arange(num)


def storing_module() -> Any:
    """Keeps tensors of a call in every place that it can: a second call on fake ones fails."""

    class Frequencies:
        def __init__(self) -> None:
            self.kept: dict[int, Any] = {}

    class Storing(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.child = torch.nn.Linear(3, 3), torch.nn.Module()
            self.last: Any = None
            self.all: list[Any] = []
            self.frequencies = Frequencies()
            torch.nn.init.ones_(self.linear.weight)
            torch.nn.init.ones_(self.linear.bias)

        @functools.lru_cache(maxsize=8)  # noqa: B019
        def rows(self, num: int) -> Any:
            return torch.ones(num, 1)

        def forward(self, x: Any) -> Any:
            num = len(x)
            self.last = x
            self.all.append(x)
            self.child.register_buffer("mean", x.mean(0))
            self.linear.weight.data += 1
            kept = self.frequencies.kept.setdefault(num, x * 2)
            return self.linear(x) + kept + self.rows(num) + positions(num)[:, None]

    return Storing()


def test_no_trace() -> None:
    """Attributes, buffers, weights, nested objects and caches are as before."""
    from daguerre.models.diffusers.executors.base import NetworkMethod
    from daguerre.models.diffusers.executors.structure import output_structure

    torch.set_grad_enabled(False)
    module, x = storing_module(), torch.ones(2, 3)
    weight = module.linear.weight.clone()
    method = NetworkMethod("n", module, lambda inputs: ("one", (module(inputs["x"]),)))
    assert output_structure(method, {"x": x}) == "one"
    assert module.last is None and module.all == [] and module.frequencies.kept == {}
    assert list(module.child.buffers()) == [] and torch.equal(module.linear.weight, weight)
    assert num_fake_tensors() == 0
    real = module(x)
    assert module.last is x and output_structure(method, {"x": x}) == "one"
    assert module.last is x and torch.equal(module(x), real + 3)


def test_failing_method() -> None:
    """After an error, too, the module is as before."""
    from daguerre.models.diffusers.executors.base import NetworkMethod
    from daguerre.models.diffusers.executors.structure import output_structure

    module = torch.nn.Linear(3, 3)

    def fail(inputs: Any) -> Any:
        module.kept = inputs["x"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        output_structure(NetworkMethod("n", module, fail), {"x": torch.ones(2, 3)})
    assert not hasattr(module, "kept") and num_fake_tensors() == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_trace_in_a_family(family: str, folder_of: Callable[[str], Path]) -> None:
    """No network of a checkpoint keeps a fake tensor."""
    bench = Bench(folder_of(family))
    size, steps = SIZES.get(family, (16, 24)), MIN_STEPS.get(family, 1)
    assert bench.images([Request("a fox", steps=steps, size=size)])
    assert num_fake_tensors() == 0
