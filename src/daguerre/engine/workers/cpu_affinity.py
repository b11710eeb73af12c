"""CPU affinity: which CPUs each worker runs on, and with how many threads.

Runtimes bind their threads to the first CPUs they may use, so unpinned workers would share these
(measured with OpenVINO 2026.4). Two workers should share neither a core nor, across NUMA nodes, the
memory of their weights. All workers have the same number of threads, which can affect their output.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from daguerre.cpu import num_cpus

_SYSFS_CPUS = Path("/sys/devices/system/cpu")


class LogicalCpu(NamedTuple):
    """A hardware thread of a physical core. CPUs of one node are near the same memory."""

    number: int
    core: str
    node: str


def threads_per_worker(num_workers: int, requested: int) -> int:
    """Number of threads of each worker: as requested, or an equal share of the CPUs if 0.

    A single worker's runtime chooses itself (0). A runtime with one thread per physical core uses
    fewer if its CPUs have fewer cores, so the share with the fewest cores decides.
    """
    if num_workers == 1:
        return requested
    num_threads = requested or max(1, num_cpus() // num_workers)
    cpus = _available_cpus()
    if not _can_pin(cpus, num_workers, num_threads):
        return num_threads
    core_of = {cpu.number: cpu.core for cpu in cpus}
    parts = partition_cpus(cpus, num_workers)
    cores_per_worker = {len({core_of[number] for number in part}) for part in parts}
    return min(num_threads, *cores_per_worker) if len(cores_per_worker) > 1 else num_threads


def pin_to_cpu_share(worker: int, num_workers: int, num_threads: int) -> None:
    """Pins this process to its worker's share of CPUs, unless it has more threads than these."""
    cpus = _available_cpus()
    if num_workers > 1 and _can_pin(cpus, num_workers, num_threads):
        os.sched_setaffinity(0, partition_cpus(cpus, num_workers)[worker])


def _available_cpus() -> list[LogicalCpu]:
    """CPUs this process may use; empty if the system cannot pin processes."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    return [read_cpu(number) for number in sorted(os.sched_getaffinity(0))]


def _can_pin(cpus: Collection[LogicalCpu], num_workers: int, num_threads: int) -> bool:
    return bool(cpus) and num_threads <= max(1, len(cpus) // num_workers)


def read_cpu(number: int, sysfs: Path = _SYSFS_CPUS) -> LogicalCpu:
    """Reads a CPU's core and node. What is unknown counts as its own core and the same node."""
    directory = sysfs / f"cpu{number}"
    core = _read(directory / "topology" / "thread_siblings_list") or str(number)
    nodes = sorted(path.name for path in directory.glob("node[0-9]*"))
    node = nodes[0] if nodes else _read(directory / "topology" / "physical_package_id")
    return LogicalCpu(number, core, node)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def partition_cpus(cpus: Collection[LogicalCpu], num_workers: int) -> list[list[int]]:
    """Returns the CPU numbers of each worker, equally many, if possible whole cores of one node."""
    size, free = len(cpus) // num_workers, sorted(cpus)
    if size <= 1:
        order = _first_threads_first(free)
        return [[order[worker % len(order)].number] for worker in range(num_workers)]
    parts = []
    for _ in range(num_workers):
        part = list(_pick_cpus(free, size))
        free = [cpu for cpu in free if cpu not in part]
        parts.append(sorted(cpu.number for cpu in part))
    return parts


def _pick_cpus(free: Collection[LogicalCpu], size: int) -> Iterator[LogicalCpu]:
    """Picks from the smallest node that has enough CPUs, else from the largest nodes."""
    nodes = _group_by(free, "node")
    enough = [node for node in nodes if len(node) >= size]
    for node in [min(enough, key=len)] if enough else sorted(nodes, key=len, reverse=True):
        cores = _group_by(node, "core")
        while cores and size:
            # The largest core that fits as a whole, else a part of the smallest.
            fitting = [core for core in cores if len(core) <= size]
            core = max(fitting, key=len) if fitting else min(cores, key=len)
            yield from core[:size]
            size -= min(size, len(core))
            cores.remove(core)


def _first_threads_first(cpus: Collection[LogicalCpu]) -> list[LogicalCpu]:
    """The first thread of every core, then the second of every core, and so on."""
    by_thread = itertools.zip_longest(*_group_by(cpus, "core"))
    return [cpu for threads in by_thread for cpu in threads if cpu]


def _group_by(cpus: Collection[LogicalCpu], attribute: str) -> list[list[LogicalCpu]]:
    groups: dict[str, list[LogicalCpu]] = {}
    for cpu in cpus:
        groups.setdefault(getattr(cpu, attribute), []).append(cpu)
    return list(groups.values())
