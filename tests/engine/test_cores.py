"""Which cores a worker has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from daguerre.engine import cores
from daguerre.engine.cores import num_threads_each, share


@pytest.mark.parametrize(
    ("num_cores", "num_workers", "wanted", "expected"),
    [(8, 1, 0, 0), (8, 2, 0, 4), (5, 2, 0, 2), (2, 4, 0, 1), (8, 2, 3, 3), (8, 1, 6, 6)],
)
def test_threads(
    num_cores: int, num_workers: int, wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cores by workers where nothing is said; what is said holds for each."""
    monkeypatch.setattr(cores, "num_cores", lambda: num_cores)
    assert num_threads_each(num_workers, wanted) == expected


def test_shares() -> None:
    """Are of one size, and no core is in two of them while there are enough."""
    assert [share([0, 1, 2, 3, 8], worker, 2) for worker in range(2)] == [[0, 1], [2, 3]]
    assert [share([4, 6], worker, 3) for worker in range(3)] == [[4], [6], [4]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not bound here")
@pytest.mark.parametrize(("num_threads", "is_bound"), [(1, True), (1000, False)])
def test_process_keeps_to_its_share(num_threads: int, is_bound: bool) -> None:
    """A worker computes on its cores alone, unless it shall have more threads than these."""
    code = (
        "import os; from daguerre.engine.cores import keep_to_share, share;"
        " all = sorted(os.sched_getaffinity(0));"
        f" keep_to_share(1, 2, {num_threads});"
        " print(sorted(os.sched_getaffinity(0)) == (share(all, 1, 2) if"
        f" {is_bound} else all))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
