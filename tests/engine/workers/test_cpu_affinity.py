"""Which CPUs each worker runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from daguerre.engine.workers import cpu_affinity
from daguerre.engine.workers.cpu_affinity import (
    LogicalCpu,
    partition_cpus,
    read_cpu,
    threads_per_worker,
)


@pytest.mark.parametrize(
    ("num_cores", "num_workers", "wanted", "expected"),
    [(8, 1, 0, 0), (8, 2, 0, 4), (5, 2, 0, 2), (2, 4, 0, 1), (8, 2, 3, 3), (8, 1, 6, 6)],
)
def test_threads(
    num_cores: int, num_workers: int, wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default workers share the cores equally; a requested number applies to each worker."""
    monkeypatch.setattr(cpu_affinity, "num_cpus", lambda: num_cores)
    monkeypatch.setattr(cpu_affinity, "_available_cpus", lambda: machine(1, num_cores, 1))
    assert threads_per_worker(num_workers, wanted) == expected


def machine(sockets: int, each: int, threads: int, allowed: Sequence[int] = ()) -> list[LogicalCpu]:
    """CPUs of a machine with `each` cores per socket.

    As on Linux, the first threads of all cores are numbered before the second ones.
    """
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
        pytest.param(machine(1, 5, 1), 2, [[0, 1], [2, 3]], id="unused"),
        pytest.param(machine(2, 4, 1), 2, [[0, 1, 2, 3], [4, 5, 6, 7]], id="sockets"),
        pytest.param(
            machine(2, 5, 1), 4, [[0, 1], [2, 3], [5, 6], [7, 8]], id="no worker across sockets"
        ),
        pytest.param(machine(2, 3, 1), 3, [[0, 1], [3, 4], [2, 5]], id="one worker across sockets"),
        # Two threads for each core: 0 and 4, 1 and 5 ... are siblings.
        pytest.param(machine(1, 4, 2), 2, [[0, 1, 4, 5], [2, 3, 6, 7]], id="siblings"),
        pytest.param(machine(2, 2, 2), 2, [[0, 1, 4, 5], [2, 3, 6, 7]], id="siblings in sockets"),
        pytest.param(machine(2, 2, 2), 4, [[0, 4], [1, 5], [2, 6], [3, 7]], id="one core each"),
        pytest.param(machine(1, 4, 2), 3, [[0, 4], [1, 5], [2, 6]], id="unused core"),
        pytest.param(machine(1, 3, 2), 2, [[0, 1, 3], [2, 4, 5]], id="split core"),
        pytest.param(machine(1, 2, 2), 4, [[0], [1], [2], [3]], id="split cores"),
        pytest.param(machine(1, 4, 2), 5, [[0], [1], [2], [3], [4]], id="every core used"),
        # A container with some CPUs of a machine with two sockets of four cores.
        pytest.param(
            machine(2, 4, 2, [1, 2, 3, 9, 10, 11]), 3, [[1, 9], [2, 10], [3, 11]], id="whole cores"
        ),
        pytest.param(
            machine(2, 4, 2, [1, 2, 3, 10, 11]), 2, [[2, 10], [3, 11]], id="unused thread"
        ),
        pytest.param(machine(2, 4, 2, [1, 3, 5, 7, 9]), 2, [[5, 7], [1, 9]], id="odd CPUs"),
        # More workers than cores.
        pytest.param(machine(2, 2, 1, [1, 2]), 3, [[1], [2], [1]], id="round-robin"),
        pytest.param(machine(1, 1, 1), 2, [[0], [0]], id="one CPU"),
    ],
)
def test_partition(cpus: list[LogicalCpu], num_workers: int, expected: list[list[int]]) -> None:
    """Shares have equal sizes, and split cores and nodes only if necessary (expected by hand)."""
    assert partition_cpus(cpus, num_workers) == expected
    assert partition_cpus([*reversed(cpus)], num_workers) == expected


@pytest.mark.parametrize(
    ("cpus", "wanted", "expected"),
    [
        (machine(1, 4, 2), 0, 4),
        (machine(1, 4, 2), 3, 3),
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 0, 1),  # shares with two cores and with one
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 2, 1),
        (machine(2, 4, 2, [1, 3, 5, 7, 9]), 3, 3),  # not pinned
        ([*machine(1, 2, 2), *(LogicalCpu(4 + n, f"small {n}", "node0") for n in range(4))], 0, 2),
        ([], 0, 4),
    ],
)
def test_threads_of_unequal_shares(
    cpus: list[LogicalCpu], wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers can use as many threads as they have cores, so their output matches."""
    monkeypatch.setattr(cpu_affinity, "num_cpus", lambda: len(cpus) or 8)
    monkeypatch.setattr(cpu_affinity, "_available_cpus", lambda: cpus)
    assert threads_per_worker(2, wanted) == expected


def test_partition_is_disjoint() -> None:
    """No CPU belongs to two workers if there are enough."""
    for sockets, each, threads in ((1, 7, 2), (2, 6, 2), (4, 3, 1), (2, 5, 4)):
        cpus = machine(sockets, each, threads)
        for num_workers in range(1, len(cpus) + 1):
            parts = partition_cpus(cpus, num_workers)
            together = [number for part in parts for number in part]
            assert [len(part) for part in parts] == [len(cpus) // num_workers] * num_workers
            assert len({*together}) == len(together)


def test_read_cpu(tmp_path: Path) -> None:
    """The node falls back to the socket, and a CPU of unknown topology is its own core."""
    for number, siblings in ((0, "0,2"), (1, "1,3"), (2, "0,2")):
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings}\n")
        (topology / "physical_package_id").write_text("1\n")
    (tmp_path / "cpu0" / "node4").mkdir()
    assert read_cpu(0, tmp_path) == (0, "0,2", "node4")
    assert read_cpu(2, tmp_path) == (2, "0,2", "1")
    assert read_cpu(3, tmp_path) == (3, "3", "")
    unknown = [read_cpu(number, tmp_path / "none") for number in range(5)]
    assert partition_cpus(unknown, 2) == [[0, 1], [2, 3]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin processes")
@pytest.mark.parametrize(("num_threads", "is_pinned"), [(1, True), (1000, False)])
def test_pin_to_cpu_share(num_threads: int, is_pinned: bool) -> None:
    """A worker process is pinned to its CPUs unless it has more threads than these."""
    code = (
        "import os\n"
        "from daguerre.engine.workers.cpu_affinity import *\n"
        "cpus = sorted(os.sched_getaffinity(0))\n"
        "share = partition_cpus([read_cpu(number) for number in cpus], 2)[1]\n"
        f"pin_to_cpu_share(1, 2, {num_threads})\n"
        f"print(sorted(os.sched_getaffinity(0)) == (share if {is_pinned} else cpus))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
