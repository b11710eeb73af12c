"""What the HTTP server counts, for the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpStats:
    """Statistics of the connections of one server."""

    num_connections: int = 0  # open
    num_requests: int = 0  # in progress
    # Name of the setting that is the limit -> connections rejected.
    num_rejected: Mapping[str, int] = field(default_factory=dict)
    num_malformed: int = 0  # requests
