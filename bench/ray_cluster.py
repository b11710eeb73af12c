"""A Ray cluster of several nodes on this machine, each with an address of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daguerre import factory, ray_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.engine.ray import cluster
from daguerre.engine.ray.deployment import ReplicaOptions

_OBJECT_STORE_BYTES = 120 * 2**20


@contextmanager
def started(num_nodes: int) -> Iterator[str]:
    """Starts the nodes, each for two replicas, and connects to them; yields the address."""
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    cluster.set_variables()
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 2, "object_store_memory": _OBJECT_STORE_BYTES}
    nodes = Cluster()
    try:
        for number in range(num_nodes):
            head = {} if number else {"include_dashboard": False}
            nodes.add_node(node_ip_address=f"127.0.0.{number + 2}", **options, **head)
        cluster.connect(nodes.address, "127.0.0.2")
        try:
            yield nodes.address
        finally:
            cluster.disconnect()
    finally:
        nodes.shutdown()


def deploy(settings: Settings, num_replicas: int) -> str:
    """Deploys the bundled model with one CPU for each replica; returns the revision."""
    options = ReplicaOptions(num_replicas, num_replicas, num_cpus=1)
    return ray_factory.deploy(settings, factory.read_catalog(settings), options)


def worker_pid(engine: Engine) -> int:
    """The process of a worker that is ready, in one of the replicas of this engine."""
    identities = [worker.identity for worker in engine.stats().workers if worker.is_ready]
    return int(identities[0].rpartition("pid ")[2])


def replica_pid(engine: Engine) -> int:
    """The process of the replica with that worker."""
    stat = Path(f"/proc/{worker_pid(engine)}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])
