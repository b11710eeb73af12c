"""Tables and verdicts of measured values, in Markdown and JSON.

A verdict is PASS, MISS or "not measured".
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.load import STAGES, Phase, percentile
from bench.machine import Rates
from bench.networks import ROWS, EngineCost
from bench.table import table

SPLIT = (*STAGES, "other")
PRODUCT_MEASURE = "denoiser against a bfloat16 product of 2048-cubes"


@dataclass(frozen=True, slots=True)
class Row:
    """All answers to one kind of request at one concurrency; `split_ms` are means."""

    name: str
    concurrency: int
    num_images: int
    p50_ms: float
    p95_ms: float
    images_per_minute: float
    split_ms: Mapping[str, float]
    file_kb: float
    peak_mb: float | None


def row(name: str, phases: Sequence[Phase], peak_mb: float | None) -> Row:
    answers = [answer for phase in phases for answer in phase.answers]
    totals_ms = [answer.total_ms for answer in answers]
    return Row(
        name,
        phases[0].concurrency,
        len(answers),
        percentile(totals_ms, 50),
        percentile(totals_ms, 95),
        60 * len(answers) / sum(phase.wall_s for phase in phases),
        {stage: statistics.fmean(a.stages_ms[stage] for a in answers) for stage in SPLIT},
        statistics.fmean(len(answer.file) / 1000 for answer in answers),
        peak_mb,
    )


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Forwards of the denoiser in one precision."""

    precision: str
    is_served: bool  # whether the server uses it on this machine
    best_ms: float
    median_ms: float


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of several starts, in seconds; `ready_s` is None for a running server."""

    ready_s: float | None
    help_s: float


@dataclass(frozen=True, slots=True)
class Results:
    facts: Mapping[str, str]
    sizes: Sequence[Row]
    formats: Sequence[Row]  # by format, then by ascending concurrency
    single_peak_mb: float | None  # with one request at a time
    loaded_peak_mb: float | None  # with up to eight
    num_operations: int  # of a forward with ROWS rows
    arithmetic: Sequence[Arithmetic]
    rates: Rates
    cost: EngineCost
    start: Start
    notes: Sequence[str] = field(default=())

    def single(self) -> Row:
        """The row of 1024x1024 PNG with one client."""
        return next(r for r in self.formats if (r.name, r.concurrency) == ("png", 1))

    def loaded(self) -> Row:
        """The row of 1024x1024 PNG with the most clients."""
        return max((r for r in self.formats if r.name == "png"), key=lambda r: r.concurrency)

    def outside_ms(self) -> float:
        """Time of a single image outside of forwards, from the first byte to the last."""
        split = self.single().split_ms
        return split["queue"] + split["file"] + split["other"] + self.cost.between_ms

    def share(self, arithmetic: Arithmetic, rate: float) -> float:
        return self.num_operations / (arithmetic.best_ms / 1000) / 1e9 / rate

    def served(self) -> Arithmetic:
        return next(a for a in self.arithmetic if a.is_served)


@dataclass(frozen=True, slots=True)
class Verdict:
    measure: str
    value: float | None
    unit: str
    limit: float
    is_at_most: bool

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        is_met = self.value < self.limit if self.is_at_most else self.value >= self.limit
        return "PASS" if is_met else "MISS"


def verdicts(results: Results) -> list[Verdict]:
    single, loaded = results.single(), results.loaded()
    outside_ms = results.outside_ms()
    mean_ms = sum(single.split_ms.values())
    peaks = results.single_peak_mb, results.loaded_peak_mb
    growth = None if peaks[0] is None or peaks[1] is None else peaks[1] - peaks[0]
    many = loaded.concurrency
    return [
        Verdict("a single 1024x1024 PNG: outside forwards", outside_ms, "ms", 40, True),
        Verdict("the same, share of the total time", 100 * outside_ms / mean_ms, "%", 5, True),
        Verdict(
            f"images a minute at concurrency {many}, against 1",
            loaded.images_per_minute / single.images_per_minute,
            "x",
            1.0,
            False,
        ),
        Verdict(f"memory from 1 request at a time to {many}", growth, "MB", 50, True),
        Verdict(
            PRODUCT_MEASURE,
            results.share(results.served(), results.rates.bfloat16),
            "x",
            0.75,
            False,
        ),
        Verdict("start of `daguerre serve` to /readyz 200", results.start.ready_s, "s", 3, True),
        Verdict("`daguerre --help`", results.start.help_s, "s", 0.3, True),
    ]


def markdown(results: Results) -> str:
    parts = (
        table(("machine", ""), results.facts.items()),
        *results.notes,
        "PNG, one request at a time:\n\n" + _rows_table(results.sizes),
        "1024x1024, clients in a closed loop:\n\n" + _rows_table(results.formats),
        "Time of a single 1024x1024 PNG:\n\n" + _parts_table(results),
        f"The denoiser with {ROWS} rows, {results.num_operations / 1e9:.2f} GFLOP a forward,"
        f" against products of 2048-cubes at {results.rates.float32:.0f} GFLOP/s in float32 and"
        f" {results.rates.bfloat16:.0f} in bfloat16:\n\n" + _arithmetic_table(results),
        verdict_table(verdicts(results)),
    )
    return "\n\n".join(parts)


def _rows_table(rows: Sequence[Row]) -> str:
    first = rows[0]
    cells = (
        (
            f"{row.name}, {row.concurrency}",
            f"{row.p50_ms:.0f}",
            f"{row.p95_ms:.0f}",
            f"{row.images_per_minute:.1f}",
            f"{row.images_per_minute / first.images_per_minute:.2f}",
            *(f"{row.split_ms[stage]:.1f}" for stage in SPLIT),
            f"{row.file_kb:.0f}",
            "?" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        )
        for row in rows
    )
    head = ("kind, concurrency", "p50 ms", "p95 ms", "images/min", "x the first row's", *SPLIT)
    return table((*head, "file kB", "peak MB"), cells)


def _parts_table(results: Results) -> str:
    split, cost = results.single().split_ms, results.cost
    stages_ms = split["encode"] + split["denoise"] + split["decode"]
    parts = {
        "forwards of the networks": stages_ms - cost.between_ms,
        "engine, between forwards": cost.between_ms,
        "queue": split["queue"],
        "file and base64": split["file"],
        "other: HTTP, hand-over, client": split["other"],
    }
    total_ms = sum(parts.values())
    cells = ((name, f"{ms:.1f}", f"{100 * ms / total_ms:.2f}") for name, ms in parts.items())
    return table(("part", "ms", "%"), cells)


def _arithmetic_table(results: Results) -> str:
    cells = (
        (
            a.precision + (", served" if a.is_served else ""),
            f"{a.best_ms:.1f}",
            f"{a.median_ms:.1f}",
            f"{results.num_operations / a.best_ms / 1e6:.0f}",
            f"{results.share(a, results.rates.float32):.2f}",
            f"{results.share(a, results.rates.bfloat16):.2f}",
        )
        for a in results.arithmetic
    )
    head = ("precision", "best ms", "median ms", "GFLOP/s", "of float32's rate", "of bfloat16's")
    return table(head, cells)


def verdict_table(judged: Sequence[Verdict]) -> str:
    cells = (
        (
            v.measure,
            "?" if v.value is None else f"{v.value:.3g} {v.unit}",
            f"{'<' if v.is_at_most else '>='} {v.limit:g} {v.unit}",
            v.word,
        )
        for v in judged
    )
    return table(("measure", "value", "wanted", ""), cells)


def as_json(results: Results) -> dict[str, Any]:
    judged = [{**asdict(verdict), "verdict": verdict.word} for verdict in verdicts(results)]
    return {**asdict(results), "outside_ms": results.outside_ms(), "verdicts": judged}
