"""`SeedRouter`: chooses the replica of a job, for Ray Serve.

A job is sent to a replica that its server has not excluded, if possible to one that has loaded the
model, and among these to the least busy one. Serve's interface of routers is not stable, so this
class is small, and the engine also works with Serve's own router.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import RequestRouter, RunningReplica

from daguerre.engine.ray.messages import JobRequest, Report, unpack


class SeedRouter(RequestRouter):
    """Runs in the process of each server."""

    _reports: dict[str, Report | None]

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Called with all replicas, whenever one or its report has changed."""
        from daguerre.engine.ray.routed_reports import BY_APPLICATION

        super().update_replicas(replicas)
        packed = {one.replica_id.unique_id: one.routing_stats or None for one in replicas}
        BY_APPLICATION[self.app_name] = packed
        self._reports = {name: unpack(one) if one else None for name, one in packed.items()}

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: Any = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas; Serve takes the least busy one of the first group that has any."""
        arguments = pending_request.args if pending_request else ()
        if not arguments or not isinstance(request := arguments[0], JobRequest):
            return [list(candidate_replicas)]
        # Otherwise Serve asks again at once, until a replica exists.
        pending_request.routing_context.should_backoff = True
        found = [
            one for one in candidate_replicas if one.replica_id.unique_id not in request.excluded
        ]
        loaded = [one for one in found if self._is_best(one, request.params.model)]
        return [group for group in (loaded, found) if group]

    def _is_best(self, replica: RunningReplica, model: str) -> bool:
        """Whether the replica has loaded the model and is not full."""
        report = self._reports.get(replica.replica_id.unique_id)
        num_jobs = self.replica_queue_len_cache.get(replica.replica_id) or 0
        return bool(report and model in report.loaded_models and num_jobs < report.capacity)
