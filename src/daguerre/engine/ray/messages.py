"""Messages between the servers and the replicas.

Ray pickles them. A report is pickled twice, because Serve's controller passes it on and another
version of daguerre may receive it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypedDict

from daguerre.engine.interface import EngineStats
from daguerre.params import Event, ImageParams, JobContext, ModelInfo
from daguerre.version import __version__

HEARTBEAT_S = 2.0


@dataclass(frozen=True, slots=True)
class ServerState:
    """What one server reports to the replicas, for the other servers.

    `sequence` rises with each message. `num_jobs` counts its jobs that have not ended, by model.
    `references` are the fingerprints of the images that it serves, by model.
    """

    sequence: int = 0
    num_jobs: Mapping[str, int] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a replica. `sequence` rises with each report.

    `capacity` is the number of jobs that it runs at a time. `servers` has what the servers, by
    name, have sent to this replica in the last seconds.
    """

    replica: str
    node: str
    models: tuple[ModelInfo, ...]
    stats: EngineStats
    capacity: int
    sequence: int
    servers: Mapping[str, ServerState] = field(default_factory=dict)

    @property
    def loaded_models(self) -> frozenset[str]:
        """Models that a worker has in memory now."""
        return frozenset(model for one in self.stats.workers for model in one.loaded_models)


class PackedReport(TypedDict):
    """A report of any version."""

    version: str
    replica: str
    report: bytes


def pack(report: Report) -> PackedReport:
    return {
        "version": __version__,
        "replica": report.replica,
        "report": pickle.dumps(report),
    }


def unpack(packed: PackedReport) -> Report | None:
    """The report; None if the replica has another version of daguerre."""
    if packed["version"] != __version__:
        return None
    report = pickle.loads(packed["report"])
    assert isinstance(report, Report), f"a report is a {type(report)}. This is a bug."
    return report


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job for a replica that is not one of `excluded`."""

    params: ImageParams
    context: JobContext
    server: str  # the name of the sender
    state: ServerState
    embed_prompt: bool = False
    excluded: frozenset[str] = frozenset()


# A stream of a job has a packed report first, and again before its last event. An empty item comes
# after each `HEARTBEAT_S` without another one.
StreamItem: TypeAlias = "tuple[PackedReport | Event, ...]"
