"""The number of replicas that the queue needs, for Serve's autoscaling."""

from __future__ import annotations

import math
from typing import Any

# The statistic of `Replica.num_queued`: jobs of all servers that have not ended.
JOBS = "jobs"


def target_replicas(context: Any) -> tuple[int, dict[str, Any]]:
    """The number of replicas, and the state to keep, for Serve's `AutoscalingContext`.

    Each replica reports the jobs of all servers as far as it has heard of them, so the largest
    number counts. Serve applies the delays.
    """
    reported = context.aggregated_metrics or {}
    jobs = max((reported.get(JOBS) or {}).values(), default=0.0)
    jobs = max(jobs, context.total_num_requests or 0.0)
    wanted = math.ceil(jobs / context.config.target_ongoing_requests)
    lowest, highest = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return max(lowest, min(wanted, highest)), {}
