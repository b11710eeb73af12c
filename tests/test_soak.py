"""The server killed, flooded, attacked, ended, left: `daguerre serve` with the model in the box.

Each scenario of `bench.soak` in short; in full they take half an hour, in `make soak` only.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import soak
from bench.load import Target
from bench.soak import attacks, overload
from bench.soak.overload import _factor, _Outcome
from bench.soak.verdict import Verdict

needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")


def check(name: str, size: int) -> None:
    verdict = soak.SCENARIOS[name].measure(size)
    print(verdict)  # shown by pytest -rP
    assert verdict.is_kept, str(verdict)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", soak.SCENARIOS)
def test_short(name: str) -> None:
    """Every promise of the scenario holds for as long as a test may take."""
    check(name, soak.SCENARIOS[name].short)


@needs_proc
@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", soak.SCENARIOS)
def test_in_full(name: str) -> None:
    """Every promise of the scenario holds for minutes."""
    check(name, soak.SCENARIOS[name].full)


def test_a_fault_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One fault fails the run and is shown; without any it passes."""
    for faults, status in (([], 0), (["something broke"], 1)):
        monkeypatch.setattr(overload, "measure", lambda size, faults=faults: Verdict([], faults))
        assert soak.main(["overload", "--seconds", "7"]) == status
        printed = capsys.readouterr().out
        assert "overload, 7 seconds" in printed and ("FAIL" in printed) == bool(faults)
        assert ("something broke" in printed) == bool(faults)


@pytest.mark.parametrize("arguments", [["nothing"], ["drain", "--requests", "0"], ["--seconds"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    """What cannot be run is refused."""
    with pytest.raises(SystemExit) as caught:
        soak.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("true_s", "told_s", "is_honest"),
    [(10, 10, True), (10, 5, True), (10, 21, True), (10, 4, False), (10, 22, False)]
    + [(0.1, 1, True), (0.1, 3, True), (0.1, 4, False), (100, 59, True), (10, 0, False)],
)
def test_honesty(true_s: float, told_s: int, is_honest: bool) -> None:
    """Retry-After may be off by a factor of two from when the last that was accepted ended."""
    accepted = [_Outcome(200, -1.0, true_s, None), _Outcome(200, 1.0, 1000.0, None)]
    assert (_factor(_Outcome(503, 0.0, 0.1, told_s), accepted) <= 2) == is_honest


def test_attacks_come_again() -> None:
    """All kinds are among a few hundred, and the same seed gives the same."""
    first, second = (
        [attacks.attack(source, "inf-key") for _ in range(300)]
        for source in (random.Random(0), random.Random(0))
    )
    assert first == second
    assert {one.name for one in first} == {kind.__name__[1:] for kind in attacks._KINDS}


def test_connections_that_were_idle_for_long_are_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server may have closed such a one, or close it at the moment at which a request is sent
    into it; that was taken for a connection that the server had broken."""

    class Connection:
        @classmethod
        async def open(cls, target: Target) -> Connection:
            return cls()

        def close(self) -> None:
            closed.append(self)

    async def scene() -> None:
        pool = overload.Pool(Target("http://x", ""), lambda: now_s[0])
        one, other = await pool.take(), await pool.take()
        pool.give_back(one)
        now_s[0] += overload._IDLE_S / 2
        pool.give_back(other)
        now_s[0] += overload._IDLE_S / 2
        assert await pool.take() is other
        assert await pool.take() not in (one, other)
        assert closed == [one]

    now_s, closed = [0.0], list[object]()
    monkeypatch.setattr(overload, "Connection", Connection)
    asyncio.run(scene())
