"""Which cores a worker has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from daguerre.engine.workers import cpu_affinity
from daguerre.engine.workers.cpu_affinity import LogicalCpu, found, num_threads_each, shares


@pytest.mark.parametrize(
    ("num_cores", "num_workers", "wanted", "expected"),
    [(8, 1, 0, 0), (8, 2, 0, 4), (5, 2, 0, 2), (2, 4, 0, 1), (8, 2, 3, 3), (8, 1, 6, 6)],
)
def test_threads(
    num_cores: int, num_workers: int, wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cores by workers where nothing is said; what is said holds for each."""
    monkeypatch.setattr(cpu_affinity, "num_cores", lambda: num_cores)
    monkeypatch.setattr(cpu_affinity, "_own_cpus", lambda: machine(1, num_cores, 1))
    assert num_threads_each(num_workers, wanted) == expected


def machine(sockets: int, each: int, threads: int, allowed: Sequence[int] = ()) -> list[LogicalCpu]:
    """With `each` cores in a socket, numbered as Linux numbers them: the first thread of every
    core, then the second of every core."""
    num_cores = sockets * each
    made = [
        LogicalCpu(number, str(number % num_cores), f"node{number % num_cores // each}")
        for number in range(num_cores * threads)
    ]
    return [cpu for cpu in made if not allowed or cpu.number in allowed]


@pytest.mark.parametrize(
    ("cpus", "num_workers", "expected"),
    [
        # One thread for each core.
        pytest.param(machine(1, 4, 1), 2, [[0, 1], [2, 3]], id="plain"),
        pytest.param(machine(1, 5, 1), 2, [[0, 1], [2, 3]], id="one is left"),
        pytest.param(machine(2, 4, 1), 2, [[0, 1, 2, 3], [4, 5, 6, 7]], id="sockets"),
        pytest.param(
            machine(2, 5, 1), 4, [[0, 1], [2, 3], [5, 6], [7, 8]], id="none across sockets"
        ),
        pytest.param(
            machine(2, 3, 1), 3, [[0, 1], [3, 4], [2, 5]], id="no more across than must be"
        ),
        # Two threads for each core: 0 and 4, 1 and 5 ... are siblings.
        pytest.param(machine(1, 4, 2), 2, [[0, 1, 4, 5], [2, 3, 6, 7]], id="siblings"),
        pytest.param(machine(2, 2, 2), 2, [[0, 1, 4, 5], [2, 3, 6, 7]], id="siblings in sockets"),
        pytest.param(machine(2, 2, 2), 4, [[0, 4], [1, 5], [2, 6], [3, 7]], id="a core each"),
        pytest.param(machine(1, 4, 2), 3, [[0, 4], [1, 5], [2, 6]], id="a core is left"),
        pytest.param(machine(1, 3, 2), 2, [[0, 1, 3], [2, 4, 5]], id="one core must be split"),
        pytest.param(machine(1, 2, 2), 4, [[0], [1], [2], [3]], id="all must be split"),
        pytest.param(machine(1, 4, 2), 5, [[0], [1], [2], [3], [4]], id="no core is idle"),
        # A container's part of a machine with two sockets of four cores.
        pytest.param(
            machine(2, 4, 2, [1, 2, 3, 9, 10, 11]), 3, [[1, 9], [2, 10], [3, 11]], id="whole cores"
        ),
        pytest.param(
            machine(2, 4, 2, [1, 2, 3, 10, 11]), 2, [[2, 10], [3, 11]], id="the lone one is left"
        ),
        pytest.param(machine(2, 4, 2, [1, 3, 5, 7, 9]), 2, [[5, 7], [1, 9]], id="odd ones"),
        # More workers than cores.
        pytest.param(machine(2, 2, 1, [1, 2]), 3, [[1], [2], [1]], id="in turns"),
        pytest.param(machine(1, 1, 1), 2, [[0], [0]], id="one for all"),
    ],
)
def test_shares(cpus: list[LogicalCpu], num_workers: int, expected: list[list[int]]) -> None:
    """Are of one size. No two have a core in common, nor has one cores of two nodes, where that can
    be: as found by hand."""
    assert shares(cpus, num_workers) == expected
    assert shares([*reversed(cpus)], num_workers) == expected


@pytest.mark.parametrize(
    ("cpus", "wanted", "expected"),
    [
        (machine(1, 4, 2), 0, 4),
        (machine(1, 4, 2), 3, 3),
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 0, 1),  # two cores, and two threads of one
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 2, 1),
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 3, 3),  # not bound
        ([*machine(1, 2, 2), *(LogicalCpu(4 + n, f"small {n}", "node0") for n in range(4))], 0, 2),
        ([], 0, 4),
    ],
)
def test_threads_of_unequal_shares(
    cpus: list[LogicalCpu], wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers can take the same number of threads, one for each core, or else they would draw
    other bits, and one of them would be given no requests."""
    monkeypatch.setattr(cpu_affinity, "num_cores", lambda: len(cpus) or 8)
    monkeypatch.setattr(cpu_affinity, "_own_cpus", lambda: cpus)
    assert num_threads_each(2, wanted) == expected


def test_shares_of_any_machine() -> None:
    """As long as there are enough, nothing is in two of them."""
    for sockets, each, threads in ((1, 7, 2), (2, 6, 2), (4, 3, 1), (2, 5, 4)):
        cpus = machine(sockets, each, threads)
        for num_workers in range(1, len(cpus) + 1):
            parts = shares(cpus, num_workers)
            together = [number for part in parts for number in part]
            assert [len(part) for part in parts] == [len(cpus) // num_workers] * num_workers
            assert len({*together}) == len(together)


def test_what_the_system_says(tmp_path: Path) -> None:
    """Siblings and the node; the socket where there are no nodes; a core of its own where nothing
    is said."""
    for number, siblings in ((0, "0,2"), (1, "1,3"), (2, "0,2")):
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
        (topology / "physical_package_id").write_text("1\n")
    (tmp_path / "cpu0" / "node4").mkdir()
    assert found(0, tmp_path) == (0, "0,2", "node4")
    assert found(2, tmp_path) == (2, "0,2", "1")
    assert found(3, tmp_path) == (3, "3", "")
    nothing = [found(number, tmp_path / "none") for number in range(5)]
    assert shares(nothing, 2) == [[0, 1], [2, 3]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are not bound here")
@pytest.mark.parametrize(("num_threads", "is_bound"), [(1, True), (1000, False)])
def test_process_keeps_to_its_share(num_threads: int, is_bound: bool) -> None:
    """A worker computes on its cores alone, unless it shall have more threads than these."""
    code = (
        "import os; from daguerre.engine.workers.cpu_affinity import found, keep_to_share, shares;"
        " all = sorted(os.sched_getaffinity(0)); own = shares([found(n) for n in all], 2)[1];"
        f" keep_to_share(1, 2, {num_threads});"
        f" print(sorted(os.sched_getaffinity(0)) == (own if {is_bound} else all))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
