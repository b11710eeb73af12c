"""NaN and infinity: the request fails with an error that says so, and nothing else changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import InternalError
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request, failure, image_bytes

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox", steps=2)


@contextmanager
def damaged(bench: Bench, component: str, value: float) -> Iterator[None]:
    """One weight of the component's last layer has this value."""
    module = getattr(bench.model.weights_key.pipeline, component)
    *_, weight = module.parameters()
    kept = weight[0].clone()
    weight[0] = value
    yield
    weight[0] = kept


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("component", ["transformer", "vae"])
def test_not_finite(
    component: str,
    value: float,
    folder_of: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error names the network, and the log says what to do. Without it, the image is black."""
    bench = Bench(folder_of("flux"))
    with damaged(bench, component, value):
        error = failure(bench.run([REQUEST])[0][-1])
    assert isinstance(error, InternalError) and f"network {component} computed NaN" in error.message
    assert 'try dtype = "float32"' in caplog.text
    assert bench.images([REQUEST])


def test_others_are_unaffected(folder_of: Callable[[str], Path]) -> None:
    """Requests that run at the same time get the images that they get alone."""
    bench = Bench(folder_of("flux"))
    requests = [replace(REQUEST, seed=seed) for seed in (1, 2, 3)]
    alone = [bench.images([request])[0] for request in requests]
    network, calls = bench.networks["transformer"], []

    class Damaging:
        name, fingerprint = network.name, network.fingerprint

        def __call__(self, inputs: Any) -> Any:
            calls.append(1)
            (output,) = network(inputs)
            return (output * float("nan") if len(calls) == 2 else output,)

    bench.networks["transformer"] = Damaging()
    events = [each[-1] for each in bench.run(requests)]
    assert [image_bytes(events[number]) for number in (0, 2)] == [alone[0], alone[2]]
    assert isinstance(failure(events[1]), InternalError)


def test_executor_is_kept(
    folder_of: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """NaN in torch's own output says nothing about a conversion: the executor is neither replaced
    nor remembered as failed, and converts for the next request."""
    store = ArtifactCache(tmp_path, 1 << 40)
    bench = Bench(folder_of("flux"), executor="openvino", store=store)
    with damaged(bench, "vae", float("nan")):
        error = failure(bench.run([REQUEST])[0][-1])
    assert isinstance(error, InternalError) and "vae computed NaN" in error.message
    caplog.clear()
    with caplog.at_level(logging.WARNING, "daguerre"):
        assert bench.images([REQUEST])
    assert "eagerly" not in caplog.text
    assert "openvino" in bench.networks["vae"].fingerprint
