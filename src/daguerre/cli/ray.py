"""`daguerre ray`: deploys the replicas of a Ray Serve application."""

from __future__ import annotations

import click

from daguerre.cli.flags import settings_flags
from daguerre.cli.table import print_table
from daguerre.config import Settings
from daguerre.errors import SettingsError

_cluster = ("ray_address", "ray_node_ip_address", "ray_application")
_replicas = (
    *("catalog", "home", "workers", "threads_per_worker", "max_running_jobs"),
    *("worker_hang_timeout_s", "model_load_timeout_s", "idle_unload_s"),
    *("embedded_precision", "embedded_steps", "artifact_cache_max_bytes", "log_level"),
)


@click.group()
def ray() -> None:
    """Deploy replicas in a Ray cluster, for servers with --engine ray.

    Without --ray-address, the cluster is that of this machine's Ray node.
    """


@ray.command()
@click.option(
    "--min-replicas",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of replicas without a queue.",
)
@click.option(
    "--max-replicas",
    type=click.IntRange(1),
    help="The queue decides about the number of replicas. Default: --min-replicas.",
)
@click.option(
    "--num-cpus",
    type=click.FloatRange(0.1),
    help="CPUs of each replica. Default: a node's CPUs, or its share for --num-gpus.",
)
@click.option(
    "--num-gpus", type=click.FloatRange(0), default=0, show_default=True, help="GPUs of each."
)
@click.option(
    "--upscale-delay-s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds for which the queue must be long before replicas are added.",
)
@click.option(
    "--downscale-delay-s",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="Seconds for which the queue must be short before replicas are removed.",
)
@click.option(
    "--drain-timeout-s",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    help="Seconds to wait until the servers have left an older revision.",
)
@click.option(
    "--new-revision",
    is_flag=True,
    help="Start new replicas, also if neither the catalog nor a setting has changed.",
)
@settings_flags(*_cluster, *_replicas)
def deploy(
    settings: Settings,
    min_replicas: int,
    max_replicas: int | None,
    num_cpus: float | None,
    num_gpus: float,
    upscale_delay_s: float,
    downscale_delay_s: float,
    drain_timeout_s: float,
    new_revision: bool,
) -> None:
    """Deploy the models of the catalog, or change the number of replicas.

    A changed catalog or setting makes a new revision beside the old one. When its replicas run, the
    servers change to it, and the old revision is deleted. The paths of checkpoints must exist on
    every node with replicas.
    """
    from daguerre import ray_factory
    from daguerre.engine.ray import cluster
    from daguerre.engine.ray.deployment import ReplicaOptions
    from daguerre.factory import read_catalog

    if max_replicas is not None and max_replicas < min_replicas:
        raise SettingsError(
            f"--max-replicas is {max_replicas}, less than --min-replicas, {min_replicas};"
            " give a larger number"
        )
    catalog = read_catalog(settings)
    _connect(settings)
    options = ReplicaOptions(
        min_replicas,
        max_replicas or min_replicas,
        num_cpus or cluster.cpus_of_a_node(num_gpus),
        num_gpus,
        upscale_delay_s,
        downscale_delay_s,
        drain_timeout_s,
    )
    revision = ray_factory.deploy(settings, catalog, options, is_new=new_revision)
    click.echo(f"{revision} runs with the models {', '.join(catalog.models)}.")
    for name in ray_factory.retire(settings, revision, drain_timeout_s):
        click.echo(f"{name} is still in use; later, run: daguerre ray delete {name}")


@ray.command()
@settings_flags(*_cluster)
def status(settings: Settings) -> None:
    """Show the revisions of the application."""
    from daguerre.engine.ray import cluster

    _connect(settings)
    found = cluster.revisions(settings.ray_application)
    rows = [(one.name, one.state, one.message) for one in found]
    print_table([("REVISION", "STATE", "MESSAGE"), *rows])


@ray.command()
@click.argument("revision")
@settings_flags(*_cluster)
def delete(settings: Settings, revision: str) -> None:
    """Delete REVISION; its replicas finish their jobs first."""
    from daguerre.engine.ray import cluster

    _connect(settings)
    names = [one.name for one in cluster.revisions(settings.ray_application)]
    if revision not in names:
        raise SettingsError(
            f"{settings.ray_application} has no revision {revision!r}; revisions:"
            f" {', '.join(names) or 'none'}"
        )
    cluster.delete(revision)
    click.echo(f"Deleted {revision}.")


def _connect(settings: Settings) -> None:
    from daguerre.engine.ray import cluster

    cluster.connect(settings.ray_address or "auto", settings.ray_node_ip_address)
