"""A Ray cluster of five hosts on this machine, with two servers of daguerre.

It is made with the commands of docs/guides/ray.md: a head, two hosts with one replica each, and two
hosts with a server, which share a database and a directory. Needs root, the programs of
`bench.soak.hosts`, and redis-server for a head that keeps its state.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from bench import process
from bench.load import Target
from bench.soak import hosts
from bench.soak.client import total
from daguerre.cli import credentials
from daguerre.cli.provisioning import DEFAULT_ALIAS

_PROGRAMS = Path(sys.executable).parent
_GCS, _PORT, _REDIS = "10.77.0.1:6379", 8000, "10.77.0.254:6380"
_VARIABLES = {  # docs/guides/ray.md
    "RAY_AUTH_MODE": "token",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayHosts:
    """The hosts, and the servers as targets of a load. They end with `stack`."""

    def __init__(self, stack: ExitStack, folder: Path, database_url: str) -> None:
        self._token = secrets.token_hex(32)
        self._redis = {"RAY_REDIS_ADDRESS": _REDIS} if _start_redis(stack, folder) else {}
        self._shared = {
            "DAGUERRE_DATABASE_URL": database_url,
            "DAGUERRE_IMAGE_STORE": str(folder / "images"),
            "DAGUERRE_SIGNED_URL_SECRET": secrets.token_hex(32),
            "DAGUERRE_LOG_LEVEL": "warning",
        }
        self.head, *others = stack.enter_context(hosts.started(folder, 5))
        self.nodes, self.servers = others[:2], others[2:]
        self.start_head()
        for node in self.nodes:
            self.join(node, num_cpus=2)
        self.deploy()
        for server in self.servers:
            self.join(server, num_cpus=0)
        self._processes = [self._serve(server) for server in self.servers]
        key = credentials.read(self.servers[0].home)[DEFAULT_ALIAS].key
        self.targets = [Target(f"http://{each.address}:{_PORT}", key) for each in self.servers]

    @property
    def has_redis(self) -> bool:
        return bool(self._redis)

    def deploy(self, *options: str) -> None:
        """Deploys two replicas; each host has the CPUs for one of a second revision, too."""
        replicas = ("--min-replicas", "2", "--max-replicas", "2", "--num-cpus", "1")
        self._run(self.head, str(_PROGRAMS / "daguerre"), "ray", "deploy", *replicas, *options)

    def start_head(self) -> None:
        self._start_node(self.head, "--head", "--port", "6379", "--num-cpus", "0")

    def join(self, host: hosts.Host, num_cpus: int) -> None:
        self._start_node(host, "--address", _GCS, "--num-cpus", str(num_cpus))

    def _start_node(self, host: hosts.Host, *options: str) -> None:
        token = host.home / ".ray" / "auth_token"
        token.parent.mkdir(mode=0o700, exist_ok=True)
        token.write_text(self._token)
        token.chmod(0o600)
        memory = ("--object-store-memory", str(100 * 2**20))
        address = ("--node-ip-address", host.address)
        self._run(host, str(_PROGRAMS / "ray"), "start", *options, *address, *memory)

    def _run(self, host: hosts.Host, *command: str) -> None:
        host.run(*command, variables=_VARIABLES | self._redis | self._shared)

    def _serve(self, host: hosts.Host) -> subprocess.Popen[str]:
        command = ("serve", "--engine", "ray", "--ray-address", _GCS, "--host", host.address)
        server = host.start(
            *(str(_PROGRAMS / "daguerre"), *command, "--port", str(_PORT)),
            variables=_VARIABLES | self._shared | {"DAGUERRE_HOME": str(host.home)},
        )
        process.listening(server)
        process.wait_ready(f"http://{host.address}:{_PORT}", server)
        return server

    def kill_server(self, number: int) -> None:
        hosts.kill(self._processes[number])

    def start_server(self, number: int) -> None:
        self._processes[number] = self._serve(self.servers[number])

    def num_jobs(self, number: int) -> float:
        """Jobs in all replicas, according to a server."""
        return total(self.targets[number], "daguerre_worker_jobs")

    def num_workers(self, number: int) -> float:
        return total(self.targets[number], "daguerre_worker_up")


def _start_redis(stack: ExitStack, folder: Path) -> bool:
    """Whether there is a Redis server now, which keeps the state of the head."""
    program = shutil.which("redis-server")
    if program is None:
        return False
    host, _, port = _REDIS.rpartition(":")
    options = ("--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", str(folder))
    server = subprocess.Popen([program, "--port", port, *options], stdout=subprocess.DEVNULL)
    stack.callback(server.kill)
    return True
