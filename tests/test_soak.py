"""The scenarios of `bench.soak` in short: `daguerre serve` with the bundled model under attack.

The short runs check promises only. Times, rates and memory are checked by `make soak`, which runs
the scenarios in full and takes half an hour.
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


def measure(name: str, size: int) -> Verdict:
    if reason := soak.SCENARIOS[name].why_none():
        pytest.skip(reason)
    verdict = soak.SCENARIOS[name].measure(size)
    print(verdict)  # shown by pytest -rP
    return verdict


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", soak.SCENARIOS)
def test_short(name: str) -> None:
    """A short run keeps every promise, whatever the load of the machine."""
    verdict = measure(name, soak.SCENARIOS[name].short)
    assert verdict.faults == [], str(verdict)


@needs_proc
@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", soak.SCENARIOS)
def test_in_full(name: str) -> None:
    """A full run keeps every promise and every figure."""
    verdict = measure(name, soak.SCENARIOS[name].full)
    assert verdict.has_passed, str(verdict)


def test_a_fault_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One fault or miss fails the run and is printed; without any the run passes."""
    for verdict, status in (
        (Verdict(), 0),
        (Verdict(faults=["something broke"]), 1),
        (Verdict(misses=["something broke"]), 1),
    ):
        monkeypatch.setattr(overload, "measure", lambda size, verdict=verdict: verdict)
        assert soak.main(["overload", "--seconds", "7"]) == status
        printed = capsys.readouterr().out
        assert "overload, 7 seconds" in printed and ("FAIL" in printed) == bool(status)
        assert ("something broke" in printed) == bool(status)


@pytest.mark.parametrize("arguments", [["nothing"], ["drain", "--requests", "0"], ["--seconds"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    """Unknown scenarios and invalid sizes are usage errors."""
    with pytest.raises(SystemExit) as caught:
        soak.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("actual_s", "retry_after_s", "is_close"),
    [(10, 10, True), (10, 5, True), (10, 21, True), (10, 4, False), (10, 22, False)]
    + [(0.1, 1, True), (0.1, 3, True), (0.1, 4, False), (100, 59, True), (10, 0, False)],
)
def test_factor(actual_s: float, retry_after_s: int, is_close: bool) -> None:
    """Retry-After may differ by a factor of two from the end of the last accepted job."""
    accepted = [_Outcome(200, -1.0, actual_s, None), _Outcome(200, 1.0, 1000.0, None)]
    assert (_factor(_Outcome(503, 0.0, 0.1, retry_after_s), accepted) <= 2) == is_close


def test_attacks_are_reproducible() -> None:
    """A few hundred attacks contain every kind, and the same seed gives the same attacks."""
    first, second = (
        [attacks.attack(source, "inf-key") for _ in range(300)]
        for source in (random.Random(0), random.Random(0))
    )
    assert first == second
    assert {one.name for one in first} == {kind.__name__[1:] for kind in attacks._KINDS}


def test_pool_drops_connections_that_were_idle_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server may close such a connection just as the client reuses it, which is no fault."""

    class Connection:
        @classmethod
        async def open(cls, target: Target) -> Connection:
            return cls()

        def close(self) -> None:
            closed.append(self)

    async def main() -> None:
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
    asyncio.run(main())
