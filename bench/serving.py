"""Latency, throughput, memory, arithmetic and start time of `daguerre serve`.

    python -m bench serving              about ten minutes; starts its own server
    python -m bench serving --quick      under a minute; tests the benchmark itself
    python -m bench serving --url http://127.0.0.1:8000 --key inf-...

Prompts and seeds are fixed. Kinds of load alternate, so that a slow phase of the machine affects
all of them. This module has the order of the steps; the other modules implement them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine, networks, process, report
from bench.load import Asked, LoadError, Phase, Target, run_phase
from daguerre.config import Settings
from daguerre.imagefile.encoding import FORMATS
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import SIZES

PROMPTS = (
    "a red apple on a wooden table",
    "a city at night, lights in the windows",
    "snowy mountains at dawn above a still lake",
    "a sailing boat on a calm sea under a cloudy sky",
    "a meadow with a lone tree and a rainbow, flat illustration, wide view",
    "three balloons over desert dunes at sunset",
    "a fox",
    "a lighthouse on a rocky coast in the evening, gulls in the air, waves at the foot of it",
)
CONCURRENCIES = (1, 2, 4, 8)
QUICK_STEPS = "2"
_NO_SERVER_NOTE = "The server was already running: its start and its memory were not measured."
_QUICK_NOTE = (
    f"**--quick: few requests, images of {QUICK_STEPS} steps. This tests the benchmark; its figures"
    " mean nothing.**"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Number of repetitions of each step."""

    num_starts: int
    num_a_size: int
    num_a_phase: int  # or the number of clients, if that is larger
    num_rounds: int
    num_engine_images: int
    seconds: float  # for each repeated run of a network or a product


FULL = Plan(
    num_starts=5, num_a_size=6, num_a_phase=16, num_rounds=2, num_engine_images=8, seconds=5.0
)
QUICK = Plan(
    num_starts=1, num_a_size=1, num_a_phase=1, num_rounds=1, num_engine_images=2, seconds=1.0
)


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if options.quick:
        os.environ.setdefault("DAGUERRE_EMBEDDED_STEPS", QUICK_STEPS)
    results = measure(options)
    print(report.markdown(results))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report.as_json(results), indent=1) + "\n")
    print(f"\nAlso in {options.output}")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench serving", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--url", help="URL of a running server")
    parser.add_argument("--key", help="its key")
    parser.add_argument("--output", type=Path, default=Path("build/bench-serving.json"))
    options = parser.parse_args(arguments)
    if (options.url is None) != (options.key is None):
        parser.error("--url and --key must be given together")
    return options


def measure(options: argparse.Namespace) -> report.Results:
    plan, settings = QUICK if options.quick else FULL, Settings.load()
    facts = machine.facts()
    before = machine.matrix_rates(settings.threads_per_worker, plan.seconds)
    with _server(options) as (target, server):
        loads = Loads(target, server, plan)
        sizes, single_peak_mb = loads.sizes()
        formats, loaded_peak_mb = loads.formats()
    arithmetic = _arithmetic(settings, plan)
    cost = networks.engine_cost(settings, plan.num_engine_images)
    after = machine.matrix_rates(settings.threads_per_worker, plan.seconds)
    return report.Results(
        facts,
        sizes,
        formats,
        single_peak_mb,
        loaded_peak_mb,
        networks.num_operations(networks.denoiser_file(), networks.ROWS),
        arithmetic,
        before.best(after),
        cost,
        _start(plan, is_own=server is not None),
        tuple(_notes(options, loads)),
    )


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[Target, process.ServerProcess | None]]:
    if options.url:
        yield Target(options.url.rstrip("/"), options.key), None
        return
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), {}) as server:
        yield server.target, server


class Loads:
    """The phases of load on one server, with the digests of every image."""

    def __init__(self, target: Target, server: process.ServerProcess | None, plan: Plan) -> None:
        self._target, self._server, self._plan = target, server, plan
        self._digests: dict[Asked, set[str]] = {}
        self.num_answers = 0
        self._run([_asked(0)], 1)  # warm-up

    def sizes(self) -> tuple[list[report.Row], float | None]:
        """Rows of each size with one client, and their peak memory."""
        rows = []
        for width, height in SIZES.values():
            size = f"{width}x{height}"
            requests = [_asked(i, size=size) for i in range(self._plan.num_a_size)]
            phase, peak_mb = self._run(requests, 1)
            rows.append(report.row(size, [phase], peak_mb))
        return rows, _most(row.peak_mb for row in rows)

    def formats(self) -> tuple[list[report.Row], float | None]:
        """Rows of PNG and JPEG at each concurrency, and the peak memory with several clients."""
        # Issue the certificates first.
        many = CONCURRENCIES[-1]
        _, first_peak_mb = self._run([_asked(i) for i in range(many)], many)
        kinds = [(form, count) for form in FORMATS for count in CONCURRENCIES]
        phases: dict[tuple[str, int], list[tuple[Phase, float | None]]] = {k: [] for k in kinds}
        for _ in range(self._plan.num_rounds):
            for form, count in kinds:
                num = max(self._plan.num_a_phase, count)
                requests = [_asked(i, output_format=form) for i in range(num)]
                phases[form, count].append(self._run(requests, count))
        rows = [
            report.row(form, [phase for phase, _ in runs], _most(peak for _, peak in runs))
            for (form, _), runs in phases.items()
        ]
        loaded = [row.peak_mb for row in rows if row.concurrency > 1]
        return rows, _most([first_peak_mb, *loaded])

    def num_different(self) -> int:
        """Number of requests whose repetition returned different bytes."""
        return sum(len(digests) > 1 for digests in self._digests.values())

    def _run(self, requests: Sequence[Asked], concurrency: int) -> tuple[Phase, float | None]:
        if self._server:
            self._server.reset_peak()
        phase = run_phase(self._target, requests, concurrency)
        peak_mb = self._server.peak_mb() if self._server else None
        self.num_answers += len(phase.answers)
        for answer in phase.answers:
            self._digests.setdefault(answer.asked, set()).add(answer.digest)
        return phase, peak_mb


def _asked(index: int, size: str = "1024x1024", output_format: str = "png") -> Asked:
    prompt = PROMPTS[index % len(PROMPTS)]
    return Asked(DEFAULT_MODEL, prompt, seed=index + 1, size=size, output_format=output_format)


def _most(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _arithmetic(settings: Settings, plan: Plan) -> list[report.Arithmetic]:
    served, rows = networks.served_precision(settings), []
    for precision in machine.OPENVINO_NAMES:
        runs_s = networks.denoiser_durations_s(settings, precision, plan.seconds)
        best_ms, median_ms = 1000 * min(runs_s), 1000 * statistics.median(runs_s)
        rows.append(report.Arithmetic(precision, precision == served, best_ms, median_ms))
    return rows


def _start(plan: Plan, *, is_own: bool) -> report.Start:
    """Start times, each with an empty data directory and warm file caches."""
    ready_s = _median(_ready_s, plan.num_starts) if is_own else None
    return report.Start(ready_s, _median(process.help_s, plan.num_starts))


def _ready_s() -> float:
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), {}) as server:
        return server.start_s


def _median(measured: Callable[[], float], count: int) -> float:
    return statistics.median(measured() for _ in range(count))


def _notes(options: argparse.Namespace, loads: Loads) -> Iterator[str]:
    if options.quick:
        yield _QUICK_NOTE
    if options.url:
        yield _NO_SERVER_NOTE
    yield f"{loads.num_answers} images; repeats with different bytes: {loads.num_different()}."
    if loads.num_different():
        raise LoadError("a repeated request returned different bytes, so no figure is valid")
