"""Builds the engines of a Ray Serve application: those of its replicas, and that of a server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from daguerre.engine.ray import cluster
from daguerre.engine.ray.cluster import ApplicationStatus
from daguerre.engine.ray.deployment import ReplicaEngine, ReplicaOptions, application
from daguerre.engine.ray.handle import MissingApplication, ReplicaHandle
from daguerre.version import __version__

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.ray.ray_engine import RayEngine
    from daguerre.engine.ray.rolling_engine import RollingEngine
    from daguerre.engine.workers.process_engine import ProcessEngine
    from daguerre.models.catalog import Catalog

# A replica accepts what the servers send: these bound the queue.
_MAX_REPLICA_JOBS = 100_000
_MAX_REPLICA_PROMPT_BYTES = 2**40
# Besides the loading of models: nodes may have to start.
_START_S = 600.0
_UNUSED_POLL_S = 0.5
_UNUSED_POLLS = 20  # each asks one of the replicas


@contextmanager
def open_engine(settings: Settings, read_catalog: Callable[[], Catalog]) -> Iterator[RollingEngine]:
    """The engine of a server. Raises `SettingsError` if the cluster cannot be reached.

    Without a `ray_address`, it starts a cluster on this machine with the models of the catalog.
    """
    from daguerre.engine.ray.rolling_engine import RollingEngine

    def deploy_again() -> None:
        deploy(settings, read_catalog(), ReplicaOptions(num_cpus=cluster.cpus_of_a_node()))

    find = partial(newest_revision, settings.ray_application)
    build = partial(server_engine, settings)
    if settings.ray_address:
        cluster.connect(settings.ray_address, settings.ray_node_ip_address)
    else:
        cluster.start_local()
    try:
        if settings.ray_address:
            yield RollingEngine(find, build)
        else:
            deploy_again()
            yield RollingEngine(find, build, deploy_again)
    finally:
        cluster.disconnect()


def newest_revision(application: str) -> str:
    """Name of the revision that servers use, or an empty string."""
    newest = cluster.newest(cluster.revisions(application))
    return newest.name if newest else ""


def server_engine(settings: Settings, revision: str) -> RayEngine:
    """The engine of a server for one revision; an empty string means none."""
    from daguerre.engine.ray.ray_engine import RayEngine

    handle: ReplicaHandle = MissingApplication()
    problem = (
        f"the Ray cluster has no application {settings.ray_application}; run: daguerre ray deploy"
    )
    if revision:
        from daguerre.engine.ray.serve_handle import ServeHandle

        handle, problem = ServeHandle(revision), ""
    return RayEngine(
        handle,
        max_queued_jobs=settings.max_queued_jobs,
        max_queued_prompt_bytes=settings.max_queued_prompt_bytes,
        embed_prompt=settings.embed_prompt,
        problem=problem,
    )


def deploy(
    settings: Settings, catalog: Catalog, options: ReplicaOptions, *, is_new: bool = False
) -> str:
    """Deploys the catalog and returns the name of the revision, which runs.

    The same catalog and settings are the same revision, whose number of replicas may change, unless
    `is_new`. Raises `SettingsError` if it cannot be deployed.
    """
    for_replicas = replica_settings(settings, options.num_cpus)
    decisive = (__version__, for_replicas, catalog, options.num_cpus, options.num_gpus)
    text = repr((decisive, time.time() if is_new else 0))
    name = f"{settings.ray_application}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    build = partial(_build_replica_engine, for_replicas, catalog)
    engine = ReplicaEngine(build, settings.max_running_jobs * settings.workers)
    cluster.start_serve()
    cluster.run(application(engine, options), name, settings.model_load_timeout_s + _START_S)
    return name


def retire(settings: Settings, present: str, timeout_s: float) -> list[str]:
    """Deletes the other revisions once no server uses them; returns those that are still used."""
    deadline_s, found = time.monotonic() + timeout_s, cluster.revisions(settings.ray_application)
    return [one.name for one in found if one.name != present and not _retire(one, deadline_s)]


def _retire(revision: ApplicationStatus, deadline_s: float) -> bool:
    num_polls = _UNUSED_POLLS if revision.has_failed else 0
    while num_polls < _UNUSED_POLLS:
        if time.monotonic() > deadline_s:
            return False
        num_polls = 0 if cluster.is_used(revision.name) else num_polls + 1
        time.sleep(_UNUSED_POLL_S)
    cluster.delete(revision.name)
    return True


def replica_settings(settings: Settings, num_cpus: float) -> Settings:
    """The settings of the engine in a replica. All replicas have the same number of threads."""
    threads = settings.threads_per_worker or max(1, int(num_cpus) // settings.workers)
    return replace(
        settings.without_secrets(),
        threads_per_worker=threads,
        max_queued_jobs=_MAX_REPLICA_JOBS,
        max_queued_prompt_bytes=_MAX_REPLICA_PROMPT_BYTES,
    )


def _build_replica_engine(settings: Settings, catalog: Catalog) -> ProcessEngine:
    """Runs in the replica."""
    from daguerre.factory import process_engine
    from daguerre.model_factory import build_servable_models

    return process_engine(settings, catalog, build_servable_models(settings, catalog))
