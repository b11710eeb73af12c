"""The outcome of a scenario: facts, broken promises (faults), figures over a limit (misses)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load import percentile


@dataclass
class Verdict:
    """A fault fails on any machine; a miss depends on the load of the machine, too."""

    facts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    @property
    def has_passed(self) -> bool:
        return not self.faults and not self.misses

    def expect(self, is_kept: bool, fault: str) -> None:
        if not is_kept:
            self.faults.append(fault)

    def expect_figure(self, is_within: bool, miss: str) -> None:
        """Check a time, a rate or a size, which a busy machine may change."""
        if not is_within:
            self.misses.append(miss)

    def __str__(self) -> str:
        lines = [f"  {fact}" for fact in self.facts]
        lines += [f"  FAULT: {fault}" for fault in self.faults[:20]]
        lines += [f"  MISS: {miss}" for miss in self.misses]
        return "\n".join([*lines, "  PASS" if self.has_passed else "  FAIL"])


def spread(name: str, values_ms: Sequence[float]) -> str:
    if not values_ms:
        return f"{name}: none"
    p50, p99 = percentile(values_ms, 50), percentile(values_ms, 99)
    return f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {max(values_ms):.0f} ms"
