"""Hosts on this machine: namespaces for their network, processes and mounts, joined by a bridge.

Needs root, `ip` of iproute2, and `unshare` and `nsenter` of util-linux.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_BRIDGE, _NETWORK = "daguerre0", "10.77.0"
# Otherwise the bridge takes the lowest address of its links. When that link comes or goes, the
# hosts send to an address that is gone.
_BRIDGE_MAC = "02:00:0a:4d:00:fe"
# The first process of a host. The kernel ends all others with it.
_INIT = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(flush=True)\n" + (
    "while True: signal.pause()"
)


def why_none() -> str | None:
    """Why there can be no such hosts here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    missing = [name for name in ("ip", "unshare", "nsenter") if not shutil.which(name)]
    return f"{', '.join(missing)} cannot be found" if missing else None


class Host:
    """One host, with one CPU of this machine and a home directory of its own."""

    def __init__(self, stack: ExitStack, folder: Path, number: int) -> None:
        self.address = f"{_NETWORK}.{number}"
        self._link = f"{_BRIDGE}h{number}"
        cpus = sorted(os.sched_getaffinity(0))
        self._cpu = cpus[number % len(cpus)]
        self.home = folder / f"host{number}"
        (self.home / "tmp").mkdir(parents=True)
        stack.callback(self.power_off)
        self.power_on()

    def power_on(self) -> None:
        """Starts the host, without its former processes."""
        options = ("--net", "--mount", "--pid", "--fork", "--mount-proc")
        self._init = subprocess.Popen(
            ["unshare", *options, sys.executable, "-c", _INIT],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._init.stdout and self._init.stdout.readline(), "a host did not start"
        self._pid = _child(self._init.pid)
        peer = ("peer", "name", "eth0", "netns", str(self._pid))
        _ip("link", "add", self._link, "type", "veth", *peer)
        _ip("link", "set", self._link, "master", _BRIDGE, "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.run("ip", "link", "set", device, "up")
        Path("/tmp/ray").mkdir(exist_ok=True)  # where Ray has the sockets of a host
        self.run("mount", "--bind", str(self.home / "tmp"), "/tmp/ray")

    def start(
        self, *command: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """A process of the host; its standard output is a pipe."""
        pid = str(self._pid)
        enter = ("nsenter", "--target", pid, "--net", "--mount", "--pid", "--wd=/", "--")
        pinned = ("taskset", "--cpu-list", str(self._cpu), *command)
        environment = {**os.environ, "HOME": str(self.home), **(variables or {})}
        return subprocess.Popen(
            [*enter, *pinned], env=environment, stdout=subprocess.PIPE, text=True
        )

    def run(self, *command: str, variables: Mapping[str, str] | None = None) -> str:
        """The output of a command of the host, which must succeed."""
        process = self.start(*command, variables=variables)
        output, _ = process.communicate()
        assert process.returncode == 0, f"{' '.join(command)}: {output}"
        return output

    def set_link(self, is_up: bool) -> None:
        """Plugs the host's network cable in, or out."""
        _ip("link", "set", self._link, "up" if is_up else "down")

    def power_off(self) -> None:
        """Ends all processes of the host at once, without a word to the others."""
        if self._init.poll() is None:
            _ip("link", "delete", self._link)
            os.kill(self._pid, signal.SIGKILL)
            self._init.wait()


@contextmanager
def started(folder: Path, num_hosts: int) -> Iterator[list[Host]]:
    """The hosts 10.77.0.1 and following; this machine reaches them."""
    with ExitStack() as stack:
        _ip("link", "add", "name", _BRIDGE, "address", _BRIDGE_MAC, "type", "bridge")
        stack.callback(_ip, "link", "delete", _BRIDGE)
        _ip("address", "add", f"{_NETWORK}.254/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        yield [Host(stack, folder, number) for number in range(1, num_hosts + 1)]


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a process that `Host.start` has started."""
    os.kill(_child(process.pid), signal.SIGKILL)
    process.wait()


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
