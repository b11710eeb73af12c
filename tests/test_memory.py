"""Free memory and kills for lack of it, read from files as in cgroups v1 and v2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from daguerre import memory

Write: TypeAlias = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes files, which stand for the kernel's, below `proc` and `cgroup`."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")

    def write(directory: str, **files: object) -> None:
        for name, text in files.items():
            file = tmp_path / directory / name.replace("memory_", "memory.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return write


def test_this_machine() -> None:
    """The kernel's own files are understood."""
    assert memory.free_bytes() > 0 and memory.num_oom_kills() >= 0
    assert sys.platform != "linux" or memory.resident_bytes() > 1024**2


def test_unknown_system(write: Write) -> None:
    """Without the kernel's files, memory is unlimited and no kill is known."""
    assert (memory.free_bytes(), memory.num_oom_kills()) == (memory.UNLIMITED_BYTES, 0)
    assert memory.resident_bytes() == 0


def test_machine(write: Write) -> None:
    """Without a limit, what is available in the machine is free."""
    write("proc", meminfo="MemTotal: 9 kB\nMemAvailable:    3 kB", vmstat="pgfault 4\noom_kill 2")
    write("proc/self", cgroup="0::/")
    write("cgroup", memory_max="max", memory_current=1)
    assert (memory.free_bytes(), memory.num_oom_kills()) == (3 * 1024, 2)


@pytest.mark.parametrize("pod_limit", [2000, 800])
def test_limits_of_version_2(pod_limit: int, write: Write) -> None:
    """The lowest limit counts, of the cgroup or of one around it; inactive page cache is free."""
    write("proc", meminfo="MemAvailable: 1000 kB", vmstat="oom_kill 9")
    write("proc/self", cgroup="0::/pod/server")
    write("cgroup/pod", memory_max=pod_limit, memory_current=700, memory_stat="inactive_file 0")
    stat = "anon 600\ninactive_file 50"
    write("cgroup/pod/server", memory_max=1000, memory_current=700, memory_stat=stat)
    write("cgroup/pod/server", memory_events="oom 3\noom_kill 1")
    assert memory.free_bytes() == (350 if pod_limit == 2000 else 100)
    assert memory.num_oom_kills() == 1


@pytest.mark.parametrize("path", ["", "docker/server"])
def test_limits_of_version_1(path: str, write: Write) -> None:
    """They are found by the path of the memory controller, or in a container's mounted root."""
    write("proc/self", cgroup="5:cpu:/elsewhere\n4:hugetlb,memory:/docker/server\n0::/")
    directory = f"cgroup/memory/{path}"
    write(directory, memory_limit_in_bytes=1000, memory_usage_in_bytes=700)
    write(directory, memory_stat="inactive_file 1\ntotal_inactive_file 50")
    write(directory, memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4")
    assert (memory.free_bytes(), memory.num_oom_kills()) == (350, 4)
