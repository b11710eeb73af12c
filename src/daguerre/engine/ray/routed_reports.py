"""The reports that the router of each application has received, in this process.

A module of its own, because Serve sends the router's module by value: its variables are copies.
"""

from __future__ import annotations

from collections.abc import Mapping

from daguerre.engine.ray.messages import PackedReport

# Application -> replica -> its last report, None before the first. Each update is a new mapping.
BY_APPLICATION: dict[str, Mapping[str, PackedReport | None]] = {}
