"""Soak tests of `daguerre serve`: crashes, overload, hostile clients, shutdown, several servers.

    python -m bench soak                         all scenarios in full, about half an hour
    python -m bench soak --short                 all scenarios in short
    python -m bench soak overload --seconds 30   one scenario of the given size

Each scenario starts its own server with the bundled model and DAGUERRE_EMBEDDED_STEPS (default
here: 1). It prints its findings and PASS or FAIL.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from bench.soak.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Scenario:
    """A module of this package with `measure(size)`; the size is counted in `unit`."""

    name: str
    unit: str
    full: int
    short: int

    def measure(self, size: int) -> Verdict:
        verdict: Verdict = self._module.measure(size)
        return verdict

    def why_none(self) -> str | None:
        """Why the scenario cannot run here, or None."""
        reason: str | None = getattr(self._module, "why_none", lambda: None)()
        return reason

    @property
    def _module(self) -> ModuleType:
        return importlib.import_module(f"bench.soak.{self.name}")


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("kills", "kills", full=20, short=2),
        Scenario("overload", "seconds", full=120, short=4),
        Scenario("hostile", "requests", full=10_000, short=150),
        Scenario("drain", "requests", full=32, short=16),
        Scenario("leaving", "clients", full=100, short=30),
        Scenario("mixed", "seconds", full=600, short=5),
        Scenario("servers", "rounds", full=5, short=1),
    )
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    kinds = parser.add_subparsers(dest="scenario", metavar="|".join(SCENARIOS))
    for scenario in SCENARIOS.values():
        own = kinds.add_parser(scenario.name)
        own.add_argument(f"--{scenario.unit}", type=int, default=None, dest="size")
    options = parser.parse_args(arguments)
    chosen = [SCENARIOS[options.scenario]] if options.scenario else [*SCENARIOS.values()]
    given = options.size if options.scenario else None
    if given is not None and given < 1:
        parser.error(f"--{chosen[0].unit} is {given}; the minimum is 1")
    verdicts = []
    for scenario in chosen:
        size = given or (scenario.short if options.short else scenario.full)
        print(f"{scenario.name}, {size} {scenario.unit}", flush=True)
        if reason := scenario.why_none():
            print(f"  SKIPPED: {reason}")
            continue
        verdicts.append(scenario.measure(size))
        print(verdicts[-1], flush=True)
    return 0 if all(verdict.has_passed for verdict in verdicts) else 1
