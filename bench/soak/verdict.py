"""What a scenario found: facts for the reader, and faults, of which there should be none.

Knows nothing of what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load import percentile


@dataclass
class Verdict:
    facts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        return not self.faults

    def expect(self, is_kept: bool, fault: str) -> None:
        if not is_kept:
            self.faults.append(fault)

    def __str__(self) -> str:
        lines = [f"  {fact}" for fact in self.facts]
        lines += [f"  FAULT: {fault}" for fault in self.faults[:20]]
        return "\n".join([*lines, "  PASS" if self.is_kept else "  FAIL"])


def spread(name: str, values_ms: Sequence[float]) -> str:
    if not values_ms:
        return f"{name}: none"
    p50, p99 = percentile(values_ms, 50), percentile(values_ms, 99)
    return f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(values_ms):.0f} ms"
