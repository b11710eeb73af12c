"""The benchmark of CUDA devices, on the CPU with small shapes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

DENOISER = "FLUX.1 32"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Any]]]:
    """Runs a part on the CPU for one small network, or for both, and returns its rows."""
    from bench.cuda import certificates, checkpoints, executors, throughput
    from bench.cuda.results import Results, read
    from bench.cuda.target import Target

    folder = tmp_path_factory.mktemp("cuda")
    target = Target("cpu", folder, is_tiny=True, compiles=False)
    sdxl, flux = checkpoints.shapes(target)

    def rows(part: str, has_sdxl: bool = False) -> list[Any]:
        file = folder / f"{part}.jsonl"
        shapes = (sdxl, flux) if has_sdxl else (flux,)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints, "shapes", lambda target: shapes)
            importlib.import_module(f"bench.cuda.{part}").run(target, Results(file, part))
        return read(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Target, "sides", (32,))
        patch.setattr(certificates, "_NUM_JOBS", (2,))
        patch.setattr(executors, "_NUM_JOBS", (1,))
        patch.setattr(throughput, "_CONCURRENCIES", (2,))
        patch.setattr(throughput, "_MODES", {"exact": 2})
        yield rows


def test_certificates(measured: Callable[..., list[Any]]) -> None:
    """Each setting has a row, and the settings of the process are as before.

    Two kinds of attention do not run on a CPU.
    """
    from bench.cuda.kernel_settings import SETTINGS

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def flags() -> tuple[Any, ...]:
        split_k = matmul.allow_bf16_reduced_precision_reduction_split_k
        reduced = matmul.allow_bf16_reduced_precision_reduction
        attention = torch.backends.cuda.cudnn_sdp_enabled()
        return split_k, reduced, cudnn.deterministic, cudnn.allow_tf32, attention

    before, rows = flags(), measured("certificates")
    assert flags() == before
    checked = {row["settings"]: row for row in rows if row["table"] == "certificates"}
    assert list(checked) == list(SETTINGS)
    failed = [name for name, row in checked.items() if "No viable backend" in row.get("error", "")]
    assert failed == ["memory-efficient attention", "cuDNN attention"]
    for row in (row for name, row in checked.items() if name not in failed):
        assert row["is_exact"] in (True, False) and "speedup" in row
    calls = {row["operation"]: row["calls"] for row in rows if row["table"] == "operations"}
    assert calls["linear"] > calls["scaled_dot_product_attention"] > 0


def test_inexact_operation() -> None:
    """An operation whose rows depend on the batch is counted, with its shapes."""
    from bench.cuda import operations

    def scaled(x: Any, weight: Any) -> Any:
        return x @ weight.T * len(x)

    check = operations.RowCheck(num_jobs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            operations, "_BATCHED", {scaled: ("x",), torch.nn.functional.linear: ("input",)}
        )
        for call in (scaled, torch.nn.functional.linear):
            check.__torch_function__(call, (), (torch.ones(4, 3), torch.ones(2, 3)))
    assert check.calls == {"scaled": 1, "linear": 1}
    assert check.inexact == {("scaled", "(4, 3) by (2, 3)"): 1}


def test_throughput(measured: Callable[..., list[Any]]) -> None:
    """The engine's clients and the plain pipelines make images."""
    rows = measured("throughput")
    servers = ["daguerre, exact", "plain, prompts in a call: 1", "plain, prompts in a call: 4"]
    assert [row["server"] for row in rows] == servers
    assert all("images_per_minute" in row for row in rows)
    assert rows[0]["clients"] == 2 and rows[0]["rows_per_forward"] >= 1


def test_executors(measured: Callable[..., list[Any]]) -> None:
    """Without a device, CUDA graphs are replaced by eager torch, and the row says so."""
    rows = measured("executors", has_sdxl=True)
    assert [(row["denoiser"], row["executor"], row["runs"]) for row in rows] == [
        (denoiser, executor, "eager")
        for executor in ("eager", "cuda-graphs")
        for denoiser in ("SDXL 32", DENOISER)
    ]
    assert all(row["has_eager_bits"] and row["distance_from_eager"] == 0 for row in rows)


def test_arithmetic(measured: Callable[..., list[Any]]) -> None:
    """Four jobs are about four times the operations of one."""
    product, one, four = measured("arithmetic")
    assert "tflop_per_s" in product and one["denoiser"] == DENOISER
    assert four["tflop"] == pytest.approx(4 * one["tflop"], rel=0.2)


def test_previews(measured: Callable[..., list[Any]]) -> None:
    (row,) = measured("previews")
    assert row["denoiser"] == DENOISER and "preview_by_step" in row


def test_tests_on_a_device(tmp_path: Path) -> None:
    """Outcomes of the tests are recorded. It is an error if pytest cannot run them."""
    from bench.cuda import checkpoint_tests
    from bench.cuda.results import Results, read
    from bench.cuda.target import Target

    target, results = Target("cpu", tmp_path), Results(tmp_path / "results.jsonl", "tests")
    with pytest.raises(RuntimeError, match="pytest ended with status 4"):
        checkpoint_tests.run(target, results, ("test_missing.py",))
    checkpoint_tests.run(target, results, ("test_arrays.py",))
    rows = read(results.file)
    assert len({row["test"] for row in rows}) == len(rows) > 2
    assert all(row["test"].startswith("tests/models/diffusers/test_arrays.py::") for row in rows)
    assert all(row["passed"] > 0 and row["failed"] == row["skipped"] == 0 for row in rows)


def test_part_that_hangs(tmp_path: Path) -> None:
    """It is stopped, the next one runs, and the log has the output of both."""
    from bench.cuda import run_part

    hanging = "import subprocess; print('begins', flush=True); subprocess.run(['sleep', '1000'])"
    log = tmp_path / "log.txt"
    assert run_part([sys.executable, "-c", hanging], 2.0, log)[0] is None
    assert run_part([sys.executable, "-c", "print('next'); exit(3)"], 60.0, log)[0] == 3
    assert log.read_text() in ("begins\nnext\n", "next\n")  # on a busy machine


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", ["throughput", "executors"])
def test_compiled_run(
    part: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A part with the compiler, as a process: the tables name compiled networks."""
    from bench import cuda
    from bench.__main__ import main

    monkeypatch.setattr(cuda, "PARTS", {part: 1700.0})
    options = ["--tiny", "--device", "cpu", "--output", str(tmp_path)]
    assert main(["cuda", part, *options]) == 0
    tables = (tmp_path / "results.md").read_text()
    assert "| done |" in tables and "compile" in tables
    assert tables in capsys.readouterr().out
