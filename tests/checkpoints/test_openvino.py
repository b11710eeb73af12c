"""A method on OpenVINO: close to torch, kept whole, and refused where it was converted wrong."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daguerre.engine.forward import Inputs, Outputs

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.openvino import OpenVINOExecutor


def make(
    compute: Callable[[Any], Any] | None = None, folder: Path | None = None, dtype: str = "float32"
) -> tuple[OpenVINOExecutor, Callable[[Inputs], tuple[Any, Outputs]]]:
    """A linear layer whose rows `compute` changes, and how torch evaluates it."""
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
    target = ExecutionTarget("openvino", torch.device("cpu"), dtype, "facts", store)
    return OpenVINOExecutor(NetworkMethod("linear", module, evaluate), target), evaluate


def rows(number: int, dtype: str = "float32") -> Inputs:
    generator = torch.Generator().manual_seed(number)
    return {"x": torch.randn(number, 8, generator=generator).to(getattr(torch, dtype))}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_number_of_rows(dtype: str) -> None:
    """One graph serves every number of rows, with torch's shapes and types."""
    network, evaluate = make(dtype=dtype)
    for number in (1, 2, 3, 5, 6, 1):
        ours, theirs = network(rows(number, dtype)), evaluate(rows(number, dtype))[1]
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape
            assert torch.allclose(one, other, rtol=0.05 if dtype == "bfloat16" else 1e-5, atol=0.02)


def test_outputs_are_the_callers() -> None:
    """A later call overwrites nothing."""
    network, _ = make()
    first: Any = network(rows(2))
    before = [output.clone() for output in first]
    network({"x": torch.ones(2, 8)})
    assert all(map(torch.equal, first, before))


def test_wrong_conversion_is_found_out() -> None:
    """A number of rows that the tracer took for a constant shows in other rows, and is refused."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, _ = make(lambda y: y * len(y))
    with pytest.raises(ExecutorError, match="output 0 differs from torch's"):
        network(rows(2))


@pytest.mark.parametrize("look", [lambda y: bool(y.sum() > 0), lambda y: int(y.argmax())])
def test_what_looks_at_values_is_not_converted(look: Callable[[Any], int]) -> None:
    """A branch or a number that depends on values would be the example's for good: it is refused,
    though the example itself would come out right."""
    from daguerre.models.diffusers.executors.base import ExecutorError

    network, _ = make(lambda y: y + look(y))
    with pytest.raises(ExecutorError, match="depends on the values"):
        network(rows(2))


def test_example_does_not_depend_on_what_came_first(tmp_path: Path) -> None:
    """Whoever asks first, with however many rows, the same bits come out, kept or not."""
    networks = [make(folder=tmp_path / "one")[0], make(folder=tmp_path / "two")[0], make()[0]]
    for network, number in zip(networks, (1, 4, 3), strict=True):
        network(rows(number))
    outputs = [network(rows(2)) for network in networks]
    for other in outputs[1:]:
        assert all(map(torch.equal, outputs[0], other))
    folders = [list((tmp_path / name).iterdir()) for name in ("one", "two")]
    assert [f.name for f in folders[0]] == [f.name for f in folders[1]]
    assert sorted(f.suffix for f in folders[0][0].iterdir()) == [".bin", ".xml"]


def test_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read costs a warning and a conversion."""
    expected = make(folder=tmp_path)[0](rows(2))
    (graph,) = tmp_path.rglob("*.xml")
    graph.write_text("<net>")
    with caplog.at_level(logging.WARNING, "daguerre"):
        found = make(folder=tmp_path)[0](rows(2))
    assert all(map(torch.equal, found, expected))
    assert "damaged" in caplog.text and graph.read_text() != "<net>"


def test_what_is_removed_meanwhile_is_not_missed(tmp_path: Path) -> None:
    """Somebody may delete all that is kept: a network that runs goes on, also with other rows, and
    the next one is converted again, to the same bits."""
    network, _ = make(folder=tmp_path)
    network(rows(1))
    for entry in tmp_path.iterdir():
        shutil.rmtree(entry)
    found, again = network(rows(3)), make(folder=tmp_path)[0](rows(3))
    assert all(map(torch.equal, found, again)) and len(list(tmp_path.iterdir())) == 1


def test_two_servers_convert_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is later takes what the other has put there, and leaves nothing beside it."""
    import openvino

    save = openvino.save_model
    others: list[Any] = []

    def save_later(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(openvino, "save_model", save)
        others.append(make(folder=tmp_path)[0](rows(2)))
        save(*args, **kwargs)

    monkeypatch.setattr(openvino, "save_model", save_later)
    found = make(folder=tmp_path)[0](rows(2))
    assert all(map(torch.equal, found, others[0])) and len(list(tmp_path.iterdir())) == 1


def test_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The network is converted for this process alone, with a warning."""
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "daguerre"):
        found = make(folder=tmp_path / "file" / "below")[0](rows(2))
    assert all(map(torch.equal, found, make()[0](rows(2))))
    assert "cannot cache a network" in caplog.text


def test_preparing_goes_in_parts(tmp_path: Path) -> None:
    """What takes long yields between its parts; the second time there is nothing to do."""
    network, _ = make(folder=tmp_path)
    assert len(list(network.prepare(rows(2)))) >= 4
    assert list(network.prepare(rows(2))) == []
    assert len(list(network.prepare(rows(3)))) == 1  # it is compiled for this number of rows
    network(rows(3))
