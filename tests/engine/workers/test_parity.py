"""Which workers may serve a model, by the fingerprints they report."""

from __future__ import annotations

import pytest

from daguerre.engine.workers.parity import WorkerParity, fingerprint_diff


def serving(parity: WorkerParity, model: str = "m", num_workers: int = 3) -> list[int]:
    return [worker for worker in range(num_workers) if parity.may_serve(worker, model)]


def test_equal_fingerprints() -> None:
    """Only the first worker serves a model until it has loaded it, then all workers do."""
    parity = WorkerParity(3)
    assert serving(parity) == [0]
    assert parity.update(2, {"m": "H100"}) and serving(parity) == [0]
    assert parity.update(0, {"m": "H100"}) and serving(parity) == [0, 1, 2]
    assert parity.update(1, {"m": "H100"}) and serving(parity) == [0, 1, 2]
    assert not parity.update(1, {"m": "H100"})
    assert serving(parity, "other") == [0]


def test_mismatch(caplog: pytest.LogCaptureFixture) -> None:
    """A mismatched worker is refused for this model only, whichever worker loads first.

    It stays refused after it unloads the model and while the other workers restart.
    """
    parity = WorkerParity(3)
    parity.update(1, {"m": "A100 x", "n": "same"})
    assert not caplog.text
    parity.update(0, {"m": "H100 x", "n": "same"})
    text = "worker 1 gets no m jobs: its fingerprint differs from the reference (A100 != H100)"
    assert text in caplog.text
    assert (serving(parity), serving(parity, "n")) == ([0, 2], [0, 1, 2])
    assert (parity.mismatched_models(0), parity.mismatched_models(1)) == ((), ("m",))
    parity.update(1, {})
    parity.clear(0)
    parity.clear(2)
    assert serving(parity) == [0, 2]
    assert len(caplog.records) == 1


def test_load_failure() -> None:
    """A worker that failed to load a model is tried last; the next one sets the reference."""
    parity = WorkerParity(2)
    parity.update(0, {"n": "x"})
    assert parity.update(0, {"n": "x"}, ["m"]) and serving(parity, num_workers=2) == [1]
    assert serving(parity, "n", num_workers=2) == [0, 1]
    parity.update(1, {}, ["m"])
    assert serving(parity, num_workers=2) == [0]
    parity.update(1, {"m": "A100"})
    assert serving(parity, num_workers=2) == [1]
    assert parity.update(0, {"n": "x"}) and serving(parity, num_workers=2) == [0, 1]
    parity.update(0, {"m": "H100"})
    assert serving(parity, num_workers=2) == [1]
    parity.update(1, {}, ["m"])
    assert serving(parity, num_workers=2) == [1]


def test_fingerprint_changes(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that falls back to another executor is refused while any worker may still match.

    When all workers have fallen back, their fingerprint becomes the reference.
    """
    parity = WorkerParity(2)
    for worker in range(2):
        parity.update(worker, {"m": "graph"})
    parity.update(0, {"m": "eager"})
    assert serving(parity, num_workers=2) == [1]
    parity.clear(1)
    assert serving(parity, num_workers=2) == [1]
    parity.update(1, {"other": "x"})
    assert serving(parity, num_workers=2) == [1]
    assert "reference fingerprint changed" not in caplog.text
    parity.update(1, {"m": "eager"})
    assert serving(parity, num_workers=2) == [0, 1]
    assert parity.mismatched_models(0) == parity.mismatched_models(1) == ()
    mismatch, change = caplog.records
    assert mismatch.levelname == "ERROR" and change.levelname == "WARNING"
    assert change.getMessage() == (
        "m: reference fingerprint changed (graph -> eager);"
        " the same seed may now produce different images"
    )


def test_replaced_worker_matches_again(caplog: pytest.LogCaptureFixture) -> None:
    """A worker whose process is replaced may match; if it does not, that is logged again."""
    parity = WorkerParity(2)
    for worker in range(2):
        parity.update(worker, {"m": "graph"})
    for fingerprint in ("eager", "graph", "eager"):
        parity.update(0, {"m": fingerprint})
        assert serving(parity, num_workers=2) == ([1] if fingerprint == "eager" else [0, 1])
        parity.clear(0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_two_different_changes(caplog: pytest.LogCaptureFixture) -> None:
    """If the workers change in different ways, the first one is the new reference."""
    parity = WorkerParity(2)
    for worker in range(2):
        parity.update(worker, {"m": "graph"})
    parity.update(1, {"m": "eager"})
    parity.update(0, {"m": "compiled"})
    assert serving(parity, num_workers=2) == [0] and parity.mismatched_models(1) == ("m",)
    assert "m: reference fingerprint changed (graph -> compiled)" in caplog.text


def test_single_worker_may_change(caplog: pytest.LogCaptureFixture) -> None:
    """A single worker keeps serving after a fallback, with a warning."""
    parity = WorkerParity(1)
    for fingerprint in ("graph", "eager"):
        assert parity.update(0, {"m": fingerprint}) and serving(parity, num_workers=1) == [0]
    assert "m: reference fingerprint changed (graph -> eager)" in caplog.text
    assert parity.mismatched_models(0) == () and len(caplog.records) == 1


def test_failed_start(caplog: pytest.LogCaptureFixture) -> None:
    """Workers do not wait for a first worker that cannot start; it is refused if it differs."""
    parity = WorkerParity(3)
    parity.update(1, {"m": "A100"})
    parity.deprioritize(0)
    assert serving(parity) == [0, 1, 2]
    parity.update(0, {"m": "H100"})
    assert serving(parity) == [1, 2]
    assert "worker 0 gets no m jobs" in caplog.text


def test_matching_workers_are_removed(caplog: pytest.LogCaptureFixture) -> None:
    """A mismatched worker takes over when no worker is left that may match."""
    parity = WorkerParity(3)
    for worker, fingerprint in enumerate(("H100", "A100", "H100")):
        parity.update(worker, {"m": fingerprint})
    parity.remove(0)
    assert serving(parity) == [2]
    parity.clear(2)
    assert serving(parity) == [2] and "changed" not in caplog.text
    parity.remove(2)
    assert serving(parity) == [1] and parity.mismatched_models(1) == ()
    assert "m: reference fingerprint changed (H100 -> A100)" in caplog.text
    parity.remove(1)
    assert serving(parity) == []


def test_fingerprint_diff() -> None:
    """The diff has the words that only one fingerprint has, each once."""
    diff = fingerprint_diff("0a torch 2 H100 H100", "0a torch 2 A100 40GB")
    assert diff == ("H100", "A100 40GB")
    assert fingerprint_diff("a", "a b") == ("nothing", "b")
