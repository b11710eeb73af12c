"""The share of the CPUs that a replica takes."""

from __future__ import annotations

import pytest

from daguerre.engine.ray import deployment
from daguerre.engine.ray.deployment import pin_replica


@pytest.mark.parametrize(
    ("local_rank", "num_cpus", "node_cpus", "expected"),
    [
        (1, 2.0, 8.0, (1, 4, 2)),
        (5, 2.0, 8.0, (1, 4, 2)),  # ranks have gaps while replicas are replaced
        (0, 8.0, 8.0, None),  # alone on the node
        (0, 2.0, 4.0, None),  # the node is a part of the machine, as in a container
        (1, 0.5, 8.0, None),
    ],
)
def test_pin(
    monkeypatch: pytest.MonkeyPatch,
    local_rank: int,
    num_cpus: float,
    node_cpus: float,
    expected: tuple[int, int, int] | None,
) -> None:
    """Replicas of one node take different CPUs."""
    pinned: list[tuple[int, int, int]] = []
    monkeypatch.setattr(deployment, "available_cpus", lambda: 8)
    monkeypatch.setattr(deployment, "pin_to_cpu_share", lambda *share: pinned.append(share))
    pin_replica(local_rank, num_cpus, node_cpus)
    assert pinned == ([expected] if expected else [])
