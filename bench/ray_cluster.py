"""A Ray cluster of several nodes on this machine, and the requests of its benchmarks.

Each node has an address of its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from daguerre import factory, ray_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.engine.ray import cluster
from daguerre.engine.ray.deployment import ReplicaOptions
from daguerre.imagefile.encoding import encode
from daguerre.params import ImageParams, JobFailed, JobSucceeded

_OBJECT_STORE_BYTES = 120 * 2**20
_READY_TIMEOUT_S = 120.0


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


async def until_ready(engine: Engine, num_workers: int) -> None:
    """Raises TimeoutError after two minutes."""
    async with asyncio.timeout(_READY_TIMEOUT_S):
        while sum(worker.is_ready for worker in engine.stats().workers) < num_workers:
            await asyncio.sleep(0.05)


async def image_file(engine: Engine, params: ImageParams) -> bytes:
    """The PNG of a request. Raises the job's error."""
    async with aclosing(engine.generate(params)) as events:
        async for event in events:
            if isinstance(event, JobFailed):
                raise event.error
            if isinstance(event, JobSucceeded):
                image = event.image
                return image.file or await asyncio.to_thread(encode, image, with_prompt=False)
    raise AssertionError("a job ended without an image. This is a bug.")


def worker_pid(engine: Engine) -> int:
    """The process of a worker that is ready, in one of the replicas of this engine."""
    identities = [worker.identity for worker in engine.stats().workers if worker.is_ready]
    return int(identities[0].rpartition("pid ")[2])


def replica_pid(engine: Engine) -> int:
    """The process of the replica with that worker."""
    stat = Path(f"/proc/{worker_pid(engine)}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])
