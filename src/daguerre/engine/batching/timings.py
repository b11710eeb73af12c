"""What sharing a forward costs, as timed in this process; nothing of it is kept on disk.

A time says something of this machine at this moment only, unlike a proof that sharing changes no
bit (`daguerre.engine.batching.certificates`). Knows nothing of how a forward is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass

from daguerre.engine.batching.certificates import BatchConfig

# The first run of a shape warms up; of the others the least counts, so that no single disturbance
# decides. Not more than the trials of a claim, so that it is timed when it is proved.
NUM_TIMED = 3


@dataclass(slots=True)
class _Samples:
    num: int = 0
    least_s: float = float("inf")


class BatchTimings:
    """The least time of each claim; a claim of one job is a run alone."""

    def __init__(self) -> None:
        self._runs: dict[BatchConfig, _Samples] = {}

    def add(self, claim: BatchConfig, seconds: float) -> bool:
        """Whether that changes what is known."""
        runs = self._runs.setdefault(claim, _Samples())
        runs.num += 1
        is_news = runs.num <= NUM_TIMED or seconds < runs.least_s
        runs.least_s = min(runs.least_s, seconds)
        return is_news

    def is_alone_known(self, claim: BatchConfig) -> bool:
        """Whether each of its jobs was timed alone, so that a shared run can be compared."""
        return None not in self._alone_s(claim).values()

    def cost(self, claim: BatchConfig) -> float | None:
        """Time of the shared forward, in forwards of one job alone: 1.0 to the number of jobs; None
        before it is timed."""
        shared_s, by_rows = self._least_s(claim), self._alone_s(claim)
        times_s = [by_rows[count] for count in claim.rows]
        alone_s = [seconds for seconds in times_s if seconds is not None]
        if shared_s is None or len(alone_s) < len(times_s):
            return None
        # A clock too coarse to see a run says nothing for sharing.
        ratio = shared_s / sum(alone_s) if sum(alone_s) else 1.0
        return len(claim.rows) * ratio

    def _alone_s(self, claim: BatchConfig) -> dict[int, float | None]:
        """Rows of a job -> its time alone."""
        return {count: self._least_s(claim._replace(rows=(count,))) for count in set(claim.rows)}

    def _least_s(self, claim: BatchConfig) -> float | None:
        runs = self._runs.get(claim)
        return runs.least_s if runs and runs.num >= NUM_TIMED else None
