"""`ReplicaHandle`: how a server reaches the replicas, independent of Ray."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from daguerre.engine.ray.messages import JobRequest, PackedReport, ServerState, StreamItem


class ReplicaLostError(Exception):
    """The replica has ended, or cannot be reached; the message says how that showed."""


class ReplicaHandle(Protocol):
    """The replicas of one application, which a router chooses from."""

    def reports(self) -> Mapping[str, PackedReport | None] | None:
        """The last report of every replica, by name. A new replica has none yet.

        None if the router has no reports at all. The same object if nothing is new.
        """

    async def exchange(self, server: str, state: ServerState) -> PackedReport:
        """Sends the state of the server to a replica. Raises `ReplicaLostError`."""

    def generate(self, request: JobRequest) -> AsyncGenerator[StreamItem, None]:
        """Runs a job on a replica; see `Replica.generate`. Raises `ReplicaLostError`."""


class MissingApplication:
    """A `ReplicaHandle` without replicas, before an application is deployed."""

    def reports(self) -> Mapping[str, PackedReport | None] | None:
        return {}

    async def exchange(self, server: str, state: ServerState) -> PackedReport:
        raise ReplicaLostError("no application is deployed")

    def generate(self, request: JobRequest) -> AsyncGenerator[StreamItem, None]:
        raise ReplicaLostError("no application is deployed")
