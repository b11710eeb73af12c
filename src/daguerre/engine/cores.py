"""Which cores each of several processes of the engine computes on, and with how many threads.

All have the same number of threads, since that may decide bits. Runtimes bind their threads to the
first cores that they may use: two processes left to themselves would compute on the same ones
(measured with OpenVINO 2026.4, whose thread ran on core 0 in both).
"""

from __future__ import annotations

import os

from daguerre.models.embedded.model import num_cores


def num_threads_each(num_workers: int, wanted: int) -> int:
    """As many as were wanted, else each worker's share. One alone may decide for itself."""
    if wanted or num_workers == 1:
        return wanted
    return max(1, num_cores() // num_workers)


def keep_to_share(worker: int, num_workers: int, num_threads: int) -> None:
    """From now on this process runs on cores of its own, unless it was told to have more threads
    than there are."""
    if num_workers == 1 or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if num_threads <= max(1, len(cores) // num_workers):
        os.sched_setaffinity(0, share(cores, worker, num_workers))


def share(cores: list[int], worker: int, num_workers: int) -> list[int]:
    """Equal parts, as parts of other sizes would be other numbers of threads."""
    size = len(cores) // num_workers
    if not size:
        return [cores[worker % len(cores)]]
    return cores[worker * size : (worker + 1) * size]
