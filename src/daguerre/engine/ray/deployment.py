"""The deployment of replicas in Ray Serve. Ray is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daguerre.cpu import num_cpus as available_cpus
from daguerre.engine.ray.autoscaling import JOBS
from daguerre.engine.ray.messages import PackedReport, pack
from daguerre.engine.ray.replica import Replica
from daguerre.engine.workers.cpu_affinity import pin_to_cpu_share

if TYPE_CHECKING:
    from daguerre.engine.interface import Engine

DEPLOYMENT = "Replica"
# The queue is in the servers, so Serve must not make one of its own.
_MAX_ONGOING_REQUESTS = 10_000
_HEALTH_CHECK_PERIOD_S = 2.0
_HEALTH_CHECK_TIMEOUT_S = 10.0
_REPORT_PERIOD_S = 1.0
# Sums over this time decide about the number of replicas.
_LOOK_BACK_S = 10.1


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """How Serve runs the replicas. `num_cpus` and `num_gpus` are those of one replica."""

    min_replicas: int = 1
    max_replicas: int = 1
    num_cpus: float = 1
    num_gpus: float = 0
    upscale_delay_s: float = 10.0
    downscale_delay_s: float = 300.0
    drain_timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ReplicaEngine:
    """Builds the engine of a replica there, with `capacity` jobs at a time. Picklable."""

    build: Callable[[], Engine]
    capacity: int


class ServeReplica(Replica):
    """A replica that Ray Serve has started."""

    async def __init__(self, engine: ReplicaEngine, num_cpus: float) -> None:  # type: ignore[misc]
        import ray
        from ray import serve

        context = serve.get_replica_context()
        node = ray.get_runtime_context().get_node_id()
        (resources,) = [each["Resources"] for each in ray.nodes() if each["NodeID"] == node]
        pin_replica(context.rank.local_rank, num_cpus, resources.get("CPU", 0))
        super().__init__(engine.build(), engine.capacity, context.replica_id.unique_id, node[:8])
        await self.start()

    def record_routing_stats(self) -> PackedReport:
        """Serve's controller passes it to the routers."""
        return pack(self.report())

    def record_autoscaling_stats(self) -> dict[str, float]:
        """See `daguerre.engine.ray.autoscaling`."""
        return {JOBS: float(self.num_queued())}

    async def __del__(self) -> None:
        if hasattr(self, "_engine"):  # the constructor has not failed
            await self.stop()


def pin_replica(local_rank: int, num_cpus: float, node_cpus: float) -> None:
    """Pins the replica to its share of the machine's CPUs, because Ray pins no process.

    Not on a node that has only a part of the machine, as in a container: the nodes beside it would
    choose the same CPUs.
    """
    num_shares = int(node_cpus // num_cpus) if num_cpus >= 1 else 1
    if num_shares > 1 and node_cpus == available_cpus():
        pin_to_cpu_share(local_rank % num_shares, num_shares, int(num_cpus))


def application(engine: ReplicaEngine, options: ReplicaOptions) -> Any:
    """The Serve application with one deployment."""
    from ray import serve
    from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

    autoscaling = AutoscalingConfig(
        min_replicas=options.min_replicas,
        max_replicas=options.max_replicas,
        target_ongoing_requests=engine.capacity,
        upscale_delay_s=options.upscale_delay_s,
        downscale_delay_s=options.downscale_delay_s,
        look_back_period_s=_LOOK_BACK_S,
        policy=AutoscalingPolicy(policy_function="daguerre.engine.ray.autoscaling:target_replicas"),
    )
    deployment = serve.deployment(
        ServeReplica,
        name=DEPLOYMENT,
        autoscaling_config=autoscaling,
        max_ongoing_requests=_MAX_ONGOING_REQUESTS,
        health_check_period_s=_HEALTH_CHECK_PERIOD_S,
        health_check_timeout_s=_HEALTH_CHECK_TIMEOUT_S,
        graceful_shutdown_timeout_s=options.drain_timeout_s,
        graceful_shutdown_wait_loop_s=0.5,
        request_router_config=_router_config(),
        ray_actor_options={"num_cpus": options.num_cpus, "num_gpus": options.num_gpus},
    )
    return deployment.bind(engine, options.num_cpus)


def _router_config() -> Any:
    from ray.serve.config import RequestRouterConfig

    return RequestRouterConfig(
        request_router_class="daguerre.engine.ray.router:SeedRouter",
        request_routing_stats_period_s=_REPORT_PERIOD_S,
    )
