"""The same checkpoint, size and steps in one run: this server, and a plain one of diffusers.

    python -m bench compare                  all checkpoints: some fifteen minutes on two cores
    python -m bench compare --quick          tiny ones: does the benchmark itself work
    python -m bench compare dit --num 4      one of them, with more images
    python -m bench compare --clients 1      no crowds

Servers stand side by side and take turns, so that a machine that slows down slows them all. A
plain server that has no picture after `--limit-s` of the processors' time is given up, and the
table says so. Needs the extra daguerre[diffusers].
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import machine
from bench.compare import checkpoints, servers
from bench.compare.report import OURS, Comparison, Result, as_json, markdown
from bench.load import Asked, LoadError, Phase, run_phase
from bench.process import ServerProcess

SIZE = "1024x1024"
PROMPT = "a lighthouse on a rocky coast in the evening, number {}"


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    kinds = checkpoints.TINY if options.quick else checkpoints.KINDS
    facts, compared = servers.facts(machine.facts()), []
    for name in options.checkpoints or [name for name in kinds if name in checkpoints.TINY]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            compared.append(_compared(name, kinds[name], Path(folder), options))
        print(f"{compared[-1].name} is done", flush=True)
    print(markdown(facts, compared))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(as_json(facts, compared), indent=1) + "\n")
    print(f"\nAlso in {options.output}")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoints", nargs="*", metavar="|".join(checkpoints.KINDS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--num", type=int, default=2, help="images of each server alone")
    parser.add_argument("--clients", default="1,8", help="how many at once, one number or more")
    parser.add_argument("--limit-s", type=float, default=240.0, help="for a plain server's first")
    types = ",".join(servers.DTYPES)
    parser.add_argument("--dtypes", default=types, help="of the plain servers")
    parser.add_argument("--our-dtypes", default=types, help="of this one")
    parser.add_argument("--executor", default="auto", help="of this server")
    parser.add_argument("--folder", type=Path, help="where checkpoints may lie meanwhile: 10 GB")
    parser.add_argument("--output", type=Path, default=Path("build/bench-compare.json"))
    options = parser.parse_args(arguments)
    known = checkpoints.TINY if options.quick else checkpoints.KINDS
    for name in options.checkpoints:
        if name not in known:
            parser.error(f"no checkpoint {name!r}; there are {', '.join(known)}")
    options.dtypes, options.our_dtypes = options.dtypes.split(","), options.our_dtypes.split(",")
    for dtype in [*options.dtypes, *options.our_dtypes]:
        if dtype not in servers.DTYPES:
            parser.error(f"no dtype {dtype!r}; there are {', '.join(servers.DTYPES)}")
    try:
        options.clients = [int(count) for count in options.clients.split(",")]
    except ValueError:
        parser.error(f"--clients is {options.clients!r}; it must be numbers with commas between")
    if min(options.clients) < 1:
        parser.error(f"--clients is {options.clients}; each must be 1 or more")
    if options.num < 1:
        parser.error(f"--num is {options.num}; it must be 1 or more")
    return options


def _compared(
    name: str, kind: checkpoints.Kind, folder: Path, options: argparse.Namespace
) -> Comparison:
    checkpoint = folder / "checkpoint"
    num_parameters = kind.make(checkpoint)
    with ExitStack() as stack:
        loads: dict[str, Load] = {}
        for label, starting in _servers(kind, folder, checkpoint, options).items():
            server = stack.enter_context(starting())
            # What is converted has as long as it takes.
            loads[label] = Load(server, math.inf if label.startswith(OURS) else options.limit_s)
        _take_turns([load for load in loads.values() if load.is_running], options)
    results = [
        result for label, load in loads.items() for result in load.results(label, options.clients)
    ]
    return Comparison(name, kind.words, num_parameters, kind.steps, kind.guidance, SIZE, results)


def _take_turns(loads: Sequence[Load], options: argparse.Namespace) -> None:
    for count in options.clients:
        for number in range(options.num if count == 1 else 1):
            for load in loads:
                load.run(count, range(number, number + count))


def _servers(
    kind: checkpoints.Kind, folder: Path, checkpoint: Path, options: argparse.Namespace
) -> Mapping[str, Callable[[], servers.Starting]]:
    """This one first: what it converts takes memory that the others would have."""
    ours = {
        f"{OURS} {dtype}": functools.partial(
            servers.daguerre, folder / dtype, checkpoint, kind, dtype, options.executor
        )
        for dtype in options.our_dtypes
    }
    return ours | {
        f"plain {dtype}": functools.partial(servers.plain, checkpoint, kind, dtype)
        for dtype in options.dtypes
    }


class Load:
    """The phases of one server. Its first request does not count but as such."""

    def __init__(self, server: ServerProcess, limit_s: float) -> None:
        self._server, self._limit_s = server, limit_s
        self._phases: dict[int, list[Phase]] = {}
        self._cpu_s: dict[int, list[float | None]] = {}
        self._is_given_up = False
        self.first = self._first()

    def _first(self) -> Phase | None:
        """None where the server has had more than its share of the processors for one picture."""
        is_over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(is_over,))
        watch.start()
        try:
            return run_phase(self._server.target, [self._asked(0)], 1)
        except (OSError, EOFError):
            if not self._is_given_up:
                raise
            return None
        finally:
            is_over.set()
            watch.join()

    def _watch(self, is_over: threading.Event) -> None:
        started_s = self._server.cpu_s()
        while started_s is not None and not is_over.wait(0.5):
            now_s = self._server.cpu_s()
            if now_s is not None and now_s - started_s > self._limit_s:
                self._is_given_up = True
                self._server.kill()
                return

    @property
    def is_running(self) -> bool:
        return self.first is not None

    def run(self, concurrency: int, numbers: Sequence[int]) -> None:
        requests = [self._asked(number) for number in numbers]
        before_s = self._server.cpu_s()
        phase = run_phase(self._server.target, requests, concurrency)
        after_s = self._server.cpu_s()
        spent_s = None if before_s is None or after_s is None else after_s - before_s
        self._phases.setdefault(concurrency, []).append(phase)
        self._cpu_s.setdefault(concurrency, []).append(spent_s)

    def results(self, label: str, clients: Sequence[int]) -> list[Result]:
        if self.first is None:
            return [Result(label, count, (), self._limit_s) for count in clients]
        first_s = self.first.wall_s
        found = [
            Result(label, count, phases, first_s, self._cpu_s[count])
            for count, phases in self._phases.items()
        ]
        digests: dict[int, str] = {}
        for answer in (a for r in found for phase in r.phases for a in phase.answers):
            if digests.setdefault(answer.asked.seed, answer.digest) != answer.digest:
                raise LoadError(f"{label} gave other bytes for {answer.asked} the second time")
        return found

    def _asked(self, number: int) -> Asked:
        return Asked(servers.MODEL, PROMPT.format(number), seed=number + 1, size=SIZE)
