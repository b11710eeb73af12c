"""The number of replicas that the queue needs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from daguerre.engine.ray.autoscaling import JOBS, target_replicas


@pytest.mark.parametrize(
    ("reported", "ongoing", "expected"),
    [
        (None, 0.0, 1),  # never less than the minimum
        ({}, 9.0, 2),
        ({JOBS: {"r1": 3.0, "r2": 17.0}}, 8.0, 3),  # the largest number, not the sum
        ({JOBS: {"r1": 1000.0}}, 8.0, 4),  # never more than the maximum
    ],
)
def test_target(
    reported: dict[str, dict[str, float]] | None, ongoing: float, expected: int
) -> None:
    context = SimpleNamespace(
        aggregated_metrics=reported,
        total_num_requests=ongoing,
        config=SimpleNamespace(target_ongoing_requests=8),
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert target_replicas(context) == (expected, {})
