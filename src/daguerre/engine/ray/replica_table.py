"""What a server knows of the replicas: their reports, their silence and their fingerprints.

Reports come with each stream, with each exchange, and every second through Serve's controller.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from daguerre.engine.ray.messages import PackedReport, Report, ServerState, unpack
from daguerre.engine.workers.parity import fingerprint_diff
from daguerre.params import ModelInfo
from daguerre.version import __version__

logger = logging.getLogger(__name__)

# Without a report for so long, a replica counts as lost.
SILENCE_S = 10.0
# A replica is silent only if another one has reported since: otherwise Serve's controller may be.
_RECENT_S = SILENCE_S / 2
# Without any report for so long, the server is not ready.
OUTAGE_S = 15.0
# Where the reports of all replicas are not known, one is forgotten after this time.
_FORGET_S = 60.0
# For so long, a reference waits for a replica that matches it, such as one that restarts.
REFERENCE_HOLD_S = 60.0


@dataclass(frozen=True, slots=True)
class _Entry:
    report: Report
    heard_s: float


class ReplicaTable:
    """The replicas of one application."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._silent: frozenset[str] = frozenset()
        self._references: dict[str, str] = {}  # model -> fingerprint
        self._matched_s: dict[str, float] = {}  # model -> when a replica last matched it
        self._mismatches: set[tuple[str, str]] = set()  # (replica, model) that were logged
        self._other_versions: frozenset[str] = frozenset()
        self._heard_s = float("-inf")

    @property
    def silent(self) -> frozenset[str]:
        """Names of the replicas that count as lost."""
        return self._silent

    @property
    def references(self) -> Mapping[str, str]:
        """Model -> the fingerprint of the images that are served."""
        return self._references

    def replace_all(self, packed: Mapping[str, PackedReport | None]) -> None:
        """Records the last report of every replica that exists; the others are forgotten.

        A new replica has no report yet.
        """
        self._entries = {name: one for name, one in self._entries.items() if name in packed}
        known = list(filter(None, packed.values()))
        self._log_versions({each["version"] for each in known} - {__version__})
        for report in filter(None, map(unpack, known)):
            self._record(report)
        self._update()

    def record(self, packed: PackedReport) -> Report | None:
        """Records one report and returns it; None if it is of another version."""
        if report := unpack(packed):
            self._record(report)
            self._update()
        return report

    def tick(self) -> None:
        """Finds replicas that have become silent. Called several times a second."""
        silent = frozenset(self._unheard(SILENCE_S) if self.is_heard else ())
        for name in silent - self._silent:
            logger.warning("replica %s is silent; it gets no jobs", name)
        self._silent = silent
        self._update()

    def forget_unheard(self) -> None:
        """Forgets replicas without a report for a minute, which no longer exist."""
        for name in self._unheard(_FORGET_S):
            del self._entries[name]

    def _unheard(self, seconds: float) -> list[str]:
        since_s = self._clock() - seconds
        return [name for name, one in self._entries.items() if one.heard_s < since_s]

    @property
    def is_heard(self) -> bool:
        """Whether any replica has reported lately."""
        return self._has_heard(_RECENT_S)

    def _has_heard(self, seconds: float) -> bool:
        return self._heard_s >= self._clock() - seconds

    def problem(self) -> str:
        """Why no replica can be used, in words for the operator; "" if one can."""
        if not self._has_heard(OUTAGE_S):
            if self._other_versions:
                versions = ", ".join(sorted(self._other_versions))
                return (
                    f"the replicas have daguerre {versions}, and this server {__version__};"
                    " install one version on all machines, and run 'daguerre ray deploy'"
                )
            return "no replica answers; look at 'daguerre ray status' and at the nodes of Ray"
        return "" if self.reports() else "no replica is left"

    def reports(self) -> list[Report]:
        """The reports of the replicas that are not silent, in the order of their names."""
        return [
            one.report for name, one in sorted(self._entries.items()) if name not in self._silent
        ]

    def models(self) -> tuple[ModelInfo, ...]:
        """The models of the replicas. If replicas differ, those of the first that may serve it."""
        infos: dict[str, ModelInfo] = {}
        for report in self.reports():
            for info in report.models:
                if info.id not in infos or self.serving(info.id)[:1] == [report]:
                    infos[info.id] = info
        return tuple(
            replace(info, fingerprint=self._references.get(model, ""))
            for model, info in infos.items()
        )

    def may_serve(self, report: Report, model: str) -> bool:
        """Whether the replica's fingerprint of the model equals the reference, or is unknown."""
        reference = self._references.get(model)
        return report.stats.loaded.get(model, reference) == reference

    def serving(self, model: str) -> list[Report]:
        """Reports of the replicas that may serve the model.

        One that failed to load it is a last resort.
        """
        reports = [each for each in self.reports() if self.may_serve(each, model)]
        return [each for each in reports if model not in each.stats.load_failures] or reports

    def mismatched_models(self, report: Report) -> tuple[str, ...]:
        return tuple(model for model in report.stats.loaded if not self.may_serve(report, model))

    def load_failures(self) -> dict[str, str]:
        """Model -> why a replica could not load it, for the models that every replica failed."""
        failures = [report.stats.load_failures for report in self.reports()]
        return {
            model: reason
            for model, reason in (failures[0].items() if failures else ())
            if all(model in each for each in failures)
        }

    def jobs_of_others(self, server: str) -> Counter[str]:
        """Jobs of the other servers that have not ended, by model."""
        states = self._servers()
        return sum(
            (Counter(state.num_jobs) for name, state in states.items() if name != server), Counter()
        )

    def _servers(self) -> dict[str, ServerState]:
        """The newest state of each server."""
        newest: dict[str, ServerState] = {}
        for report in self.reports():
            for name, state in report.servers.items():
                known = newest.get(name, state)
                newest[name] = max(known, state, key=lambda each: each.sequence)
        return newest

    def _record(self, report: Report) -> None:
        known = self._entries.get(report.replica)
        if known is None or report.sequence > known.report.sequence:
            self._heard_s = self._clock()
            self._entries[report.replica] = _Entry(report, self._heard_s)

    def _log_versions(self, versions: Set[str]) -> None:
        for version in versions - self._other_versions:
            text = "replicas with daguerre %s get no jobs: this server has %s"
            logger.error(text, version, __version__)
        self._other_versions = frozenset(versions)

    def _update(self) -> None:
        """Chooses a reference for each model, and logs each mismatch once."""
        reports, now_s = self.reports(), self._clock()
        used = Counter(_fingerprints(state.references for state in self._servers().values()))
        for model in {model for report in reports for model in report.stats.loaded}:
            if self._may_be_matched(model, reports):
                self._matched_s[model] = now_s
            elif self._matched_s.get(model, float("-inf")) < now_s - REFERENCE_HOLD_S:
                loaded = (each.stats.loaded.get(model) for each in reports)
                self._set_reference(model, Counter(filter(None, loaded)), used)
        self._log_mismatches(reports)

    def _may_be_matched(self, model: str, reports: Collection[Report]) -> bool:
        """Whether a replica matches the reference, or may do so once it has loaded the model."""
        return model in self._references and any(self.may_serve(one, model) for one in reports)

    def _set_reference(
        self, model: str, available: Mapping[str, int], used: Mapping[tuple[str, str], int]
    ) -> None:
        """Chooses the fingerprint that most servers use, else that of most replicas.

        Servers that know the same reports choose the same one.
        """
        chosen = max(
            available, key=lambda text: (used.get((model, text), 0), available[text], text)
        )
        previous = self._references.get(model)
        self._references[model], self._matched_s[model] = chosen, self._clock()
        if previous is not None:
            logger.warning(
                "%s: the reference fingerprint has changed (%s -> %s); the same seed may now"
                " produce different images",
                model,
                *fingerprint_diff(previous, chosen),
            )

    def _log_mismatches(self, reports: Collection[Report]) -> None:
        found = {(each.replica, one) for each in reports for one in self.mismatched_models(each)}
        for report in reports:
            for model in self.mismatched_models(report):
                if (report.replica, model) not in self._mismatches:
                    logger.error(
                        "replica %s gets no %s jobs: its fingerprint differs from the reference"
                        " (%s != %s)",
                        report.replica,
                        model,
                        *fingerprint_diff(report.stats.loaded[model], self._references[model]),
                    )
        self._mismatches = found


def _fingerprints(parts: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    return (item for part in parts for item in part.items())
