"""Which cores each of several processes of the engine computes on, and with how many threads.

All have the same number of threads, since that may decide bits. Runtimes bind their threads to the
first cores that they may use: two processes left to themselves would compute on the same ones
(measured with OpenVINO 2026.4, whose thread ran on core 0 in both). Nor shall two meet in the
threads of one core, or one fetch its weights from another processor's memory.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from daguerre.cpu import num_cores

_SYSTEM = Path("/sys/devices/system/cpu")


class LogicalCpu(NamedTuple):
    """What the system counts as one: a hardware thread of a core, near to the memory of a node."""

    number: int
    core: str
    node: str


def num_threads_each(num_workers: int, wanted: int) -> int:
    """As many as were wanted, else each worker's share. One alone may decide for itself.

    A runtime that takes one thread for each core takes fewer than it is told where a share has
    fewer cores. So where shares have unequal numbers of them, the smallest says how many."""
    if num_workers == 1:
        return wanted
    each = wanted or max(1, num_cores() // num_workers)
    cpus = _own_cpus()
    if not _is_bound(cpus, num_workers, each):
        return each
    core_of = {cpu.number: cpu.core for cpu in cpus}
    nums_cores = {len({core_of[one] for one in part}) for part in shares(cpus, num_workers)}
    return min(each, *nums_cores) if len(nums_cores) > 1 else each


def keep_to_share(worker: int, num_workers: int, num_threads: int) -> None:
    """From now on this process runs on cores of its own, unless it was told to have more threads
    than there are."""
    cpus = _own_cpus()
    if num_workers > 1 and _is_bound(cpus, num_workers, num_threads):
        os.sched_setaffinity(0, shares(cpus, num_workers)[worker])


def _own_cpus() -> list[LogicalCpu]:
    """Nothing where the system does not say, or binds none."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    return [found(number) for number in sorted(os.sched_getaffinity(0))]


def _is_bound(cpus: Collection[LogicalCpu], num_workers: int, num_threads: int) -> bool:
    return bool(cpus) and num_threads <= max(1, len(cpus) // num_workers)


def found(number: int, system: Path = _SYSTEM) -> LogicalCpu:
    """Where the system does not say, it is a core of its own, and all memory is near."""
    folder = system / f"cpu{number}"
    topology = folder / "topology"
    core = _read(topology / "thread_siblings_list") or str(number)
    nodes = sorted(one.name for one in folder.glob("node[0-9]*"))
    return LogicalCpu(number, core, nodes[0] if nodes else _read(topology / "physical_package_id"))


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def shares(cpus: Collection[LogicalCpu], num_workers: int) -> list[list[int]]:
    """Numbers for each worker: equal parts, as parts of other sizes would be other numbers of
    threads. Whole cores of one node where they can be had."""
    size, free = len(cpus) // num_workers, sorted(cpus)
    if size <= 1:
        order = _by_turns(free)
        return [[order[worker % len(order)].number] for worker in range(num_workers)]
    parts = []
    for _ in range(num_workers):
        part = list(_chosen(free, size))
        free = [cpu for cpu in free if cpu not in part]
        parts.append(sorted(cpu.number for cpu in part))
    return parts


def _chosen(free: Collection[LogicalCpu], size: int) -> Iterator[LogicalCpu]:
    """From the fullest node that has enough, else from those with the most left."""
    nodes = _grouped(free, "node")
    enough = [node for node in nodes if len(node) >= size]
    for node in [min(enough, key=len)] if enough else sorted(nodes, key=len, reverse=True):
        cores = _grouped(node, "core")
        while cores and size:
            # The largest that fits whole; where none does, a part of the one that loses least.
            fitting = [core for core in cores if len(core) <= size]
            core = max(fitting, key=len) if fitting else min(cores, key=len)
            yield from core[:size]
            size -= min(size, len(core))
            cores.remove(core)


def _by_turns(cpus: Collection[LogicalCpu]) -> list[LogicalCpu]:
    """The first thread of each core, then the second of each."""
    cores = _grouped(cpus, "core")
    return [cpu for turn in itertools.zip_longest(*cores) for cpu in turn if cpu]


def _grouped(cpus: Collection[LogicalCpu], by: str) -> list[list[LogicalCpu]]:
    groups: dict[str, list[LogicalCpu]] = {}
    for cpu in cpus:
        groups.setdefault(getattr(cpu, by), []).append(cpu)
    return list(groups.values())
