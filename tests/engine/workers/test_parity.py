"""Which workers serve a model, by what they say of it."""

from __future__ import annotations

import pytest

from daguerre.engine.workers.parity import WorkerParity, difference


def serving(kinds: WorkerParity, model: str = "m", num_workers: int = 3) -> list[int]:
    return [worker for worker in range(num_workers) if kinds.may_serve(worker, model)]


def test_all_are_alike() -> None:
    """Until the first has loaded a model it alone is given requests; then those that have not
    loaded it are, too. Nothing is said twice."""
    kinds = WorkerParity(3)
    assert serving(kinds) == [0]
    assert kinds.note(2, {"m": "H100"}) and serving(kinds) == [0]
    assert kinds.note(0, {"m": "H100"}) and serving(kinds) == [0, 1, 2]
    assert kinds.note(1, {"m": "H100"}) and serving(kinds) == [0, 1, 2]
    assert not kinds.note(1, {"m": "H100"})
    assert serving(kinds, "other") == [0]


def test_one_is_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """It serves other models, and not this one, whoever was loaded first; also while the others are
    replaced, and when the model is unloaded."""
    kinds = WorkerParity(3)
    kinds.note(1, {"m": "A100 x", "n": "same"})
    assert not caplog.text
    kinds.note(0, {"m": "H100 x", "n": "same"})
    assert "worker 1 gets no requests for m" in caplog.text
    assert "(A100 instead of H100)" in caplog.text
    assert (serving(kinds), serving(kinds, "n")) == ([0, 2], [0, 1, 2])
    assert (kinds.unlike(0), kinds.unlike(1)) == ((), ("m",))
    kinds.note(1, {})
    kinds.forget(0)
    kinds.forget(2)
    assert serving(kinds) == [0, 2]


def test_first_cannot_load_a_model() -> None:
    """The next is tried, and decides what is served; where none can, the first is tried again. A
    worker that could not load it a moment ago gets no requests that another may have."""
    kinds = WorkerParity(2)
    kinds.note(0, {"n": "x"})
    assert kinds.note(0, {"n": "x"}, ["m"]) and serving(kinds, num_workers=2) == [1]
    assert serving(kinds, "n", num_workers=2) == [0, 1]
    kinds.note(1, {}, ["m"])
    assert serving(kinds, num_workers=2) == [0]
    kinds.note(1, {"m": "A100"})
    assert serving(kinds, num_workers=2) == [1]
    assert kinds.note(0, {"n": "x"}) and serving(kinds, num_workers=2) == [0, 1]
    kinds.note(0, {"m": "H100"})
    assert serving(kinds, num_workers=2) == [1]


def test_first_changes(caplog: pytest.LogCaptureFixture) -> None:
    """What falls back to another arithmetic serves no more, until its next process does as the
    others, or all have fallen back: then that is what is served."""
    kinds = WorkerParity(2)
    for worker in range(2):
        kinds.note(worker, {"m": "graph"})
    kinds.note(0, {"m": "eager"})
    assert serving(kinds, num_workers=2) == [1]
    kinds.forget(0)
    kinds.note(0, {"m": "graph"})
    assert serving(kinds, num_workers=2) == [0, 1]
    kinds.note(1, {"m": "eager"})
    assert "seeds may" not in caplog.text
    kinds.note(0, {"m": "eager"})
    assert serving(kinds, num_workers=2) == [0, 1]
    assert "m is not what it was (eager instead of graph): seeds may" in caplog.text


def test_one_alone_serves_whatever_it_has(caplog: pytest.LogCaptureFixture) -> None:
    """But that it is not what it was is told."""
    kinds = WorkerParity(1)
    for facts in ("graph", "eager"):
        assert kinds.note(0, {"m": facts}) and serving(kinds, num_workers=1) == [0]
    assert "seeds may draw other bits" in caplog.text


def test_first_cannot_be_started(caplog: pytest.LogCaptureFixture) -> None:
    """Others do not wait for its second try; if it then is of another kind it serves nothing."""
    kinds = WorkerParity(3)
    kinds.note(1, {"m": "A100"})
    kinds.pass_over(0)
    assert serving(kinds) == [0, 1, 2]
    kinds.note(0, {"m": "H100"})
    assert serving(kinds) == [1, 2]
    assert "worker 0 gets no requests for m" in caplog.text


def test_those_that_served_are_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """The ones of another kind take over when nobody else is left, and not before."""
    kinds = WorkerParity(3)
    for worker, facts in enumerate(("H100", "A100", "H100")):
        kinds.note(worker, {"m": facts})
    kinds.give_up(0)
    assert serving(kinds) == [2]
    kinds.forget(2)
    assert serving(kinds) == [2]
    kinds.give_up(2)
    assert serving(kinds) == [1]
    assert "m is not what it was (A100 instead of H100)" in caplog.text
    kinds.give_up(1)
    assert kinds.unlike(1) == ()


def test_difference() -> None:
    """The words that are not in both, each once."""
    assert difference("0a torch 2 H100 H100", "0a torch 2 A100 40GB") == "H100 instead of A100 40GB"
    assert difference("a", "a b") == "nothing instead of b"
