"""A `daguerre serve` process on a free port with its own data directory: start time and memory.

Memory and CPU time come from /proc, if there is one.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import LoadError, Target
from daguerre.cli import credentials
from daguerre.cli.provisioning import DEFAULT_ALIAS

_START_TIMEOUT_S = 120.0
_POLL_S = 0.01
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    target: Target
    start_s: float  # from the start of the process to the first 200 of /readyz
    pid: int
    process: subprocess.Popen[str] | None = None

    def wait(self, timeout_s: float) -> int:
        """Wait for the exit status."""
        assert self.process, "not started here. This is a bug."
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        assert self.process, "not started here. This is a bug."
        self.process.kill()

    def engine_pids(self) -> list[int]:
        """Its child processes; empty without /proc."""
        return [
            int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == self.pid
        ]

    def reset_peak(self) -> None:
        """Restart the measurement of peak memory. Needs /proc."""
        for pid in (self.pid, *self.engine_pids()):
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                pass

    def peak_mb(self) -> float | None:
        """Peak resident memory since `reset_peak`, in 10^6 bytes, summed over its processes."""
        peaks = [_of_status(pid, "VmHWM") for pid in (self.pid, *self.engine_pids())]
        return None if None in peaks else sum(peak for peak in peaks if peak is not None)

    def resident_mb(self) -> float:
        """Current resident memory in 10^6 bytes, summed over its processes. Needs /proc."""
        return sum(_of_status(pid, "VmRSS") or 0.0 for pid in (self.pid, *self.engine_pids()))

    def cpu_s(self) -> float | None:
        """CPU time since its start, including the engine's; None without /proc."""
        spent = [_cpu_s(pid) for pid in (self.pid, *self.engine_pids())]
        return None if None in spent else sum(each for each in spent if each is not None)

    def num_files(self) -> int:
        """Number of open files, including connections. Needs /proc.

        Without the files of the database, whose connections stay open for later requests.
        """
        targets = (_target(entry) for entry in Path(f"/proc/{self.pid}/fd").iterdir())
        return sum("/daguerre.db" not in target for target in targets)


def _target(entry: Path) -> str:
    try:
        return os.readlink(entry)
    except OSError:  # it has been closed
        return ""


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has exited
        return None


def _cpu_s(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _of_status(pid: int, name: str) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 / 1e6 if found else None


@contextmanager
def serving(home: Path, environment: Mapping[str, str]) -> Iterator[ServerProcess]:
    """Run a server until it is stopped with SIGTERM; `environment` extends the current one."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "daguerre", "serve", "--host", "127.0.0.1", "--port", "0"]
    variables = {"DAGUERRE_LOG_LEVEL": "warning", **environment, "DAGUERRE_HOME": str(home)}
    with launched(command, variables) as (process, url):
        wait_ready(url, process)
        start_s = time.perf_counter() - started
        key = credentials.read(home)[DEFAULT_ALIAS].key
        yield ServerProcess(Target(url, key), start_s, process.pid, process)
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)


@contextmanager
def launched(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server that prints its address; yield it with that address, and kill it at the end."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process, listening(process)
    finally:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str]) -> str:
    """The address that a server prints. Raises `LoadError` if it ends without one."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"listens on (http\S+)", line):
            return found.group(1)
    raise LoadError(f"{process.args!r} ended with status {process.wait()}")


def wait_ready(url: str, process: subprocess.Popen[str]) -> None:
    """Wait until `/readyz` is 200. Raises `LoadError` after two minutes."""
    deadline = time.perf_counter() + _START_TIMEOUT_S
    while _readiness(url, process) != 200:
        if time.perf_counter() > deadline:
            raise LoadError(f"{url}/readyz was not 200 after {_START_TIMEOUT_S:g} s")
        time.sleep(_POLL_S)


def _readiness(url: str, process: subprocess.Popen[str]) -> int:
    try:
        return readiness(url)
    except OSError:
        raise LoadError(f"the server ended with status {process.wait(10)}") from None


def readiness(url: str) -> int:
    """Status of `GET /readyz`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


def help_s() -> float:
    """Duration of `daguerre --help`, from the start of the process to its end."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "daguerre", "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started
