"""The same checkpoint, size and steps in one run: this server, and a plain one of diffusers.

    python -m bench compare                  all checkpoints: some fifteen minutes on two cores
    python -m bench compare --quick          tiny ones: does the benchmark itself work
    python -m bench compare dit --num 4      one of them, with more images
    python -m bench compare --clients 1      no crowds

Servers stand side by side and take turns, so that a machine that slows down slows them all. A
server that has no picture after `--limit-s` is given up, and the table says so. Needs the extra
daguerre[diffusers].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import machine
from bench.compare import checkpoints, servers
from bench.compare.report import OURS, Comparison, Result, as_json, markdown
from bench.load import Asked, LoadError, Phase, TooSlow, run_phase
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
    parser.add_argument("--limit-s", type=float, default=240.0, help="for a server's first picture")
    parser.add_argument("--dtypes", default=",".join(servers.DTYPES), help="of the plain servers")
    parser.add_argument("--executor", default="auto", help="of this server")
    parser.add_argument("--folder", type=Path, help="where checkpoints may lie meanwhile: 10 GB")
    parser.add_argument("--output", type=Path, default=Path("build/bench-compare.json"))
    options = parser.parse_args(arguments)
    known = checkpoints.TINY if options.quick else checkpoints.KINDS
    for name in options.checkpoints:
        if name not in known:
            parser.error(f"no checkpoint {name!r}; there are {', '.join(known)}")
    options.dtypes = options.dtypes.split(",")
    for dtype in options.dtypes:
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
            loads[label] = Load(server, options.limit_s)
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
    ours = {OURS: lambda: servers.daguerre(folder / "home", checkpoint, kind, options.executor)}
    return ours | {
        f"plain {dtype}": lambda dtype=dtype: servers.plain(checkpoint, kind, dtype)
        for dtype in options.dtypes
    }


class Load:
    """The phases of one server. Its first request does not count but as such."""

    def __init__(self, server: ServerProcess, limit_s: float) -> None:
        self._target = server.target
        self._limit_s = limit_s
        self._phases: dict[int, list[Phase]] = {}
        self.first: Phase | None = None
        try:
            self.first = run_phase(self._target, [self._asked(0)], 1, limit_s)
        except TooSlow:
            server.kill()

    @property
    def is_running(self) -> bool:
        return self.first is not None

    def run(self, concurrency: int, numbers: Sequence[int]) -> None:
        requests = [self._asked(number) for number in numbers]
        phase = run_phase(self._target, requests, concurrency)
        self._phases.setdefault(concurrency, []).append(phase)

    def results(self, label: str, clients: Sequence[int]) -> list[Result]:
        if self.first is None:
            return [Result(label, count, (), self._limit_s) for count in clients]
        first_s = self.first.wall_s
        found = [Result(label, count, phases, first_s) for count, phases in self._phases.items()]
        digests: dict[int, str] = {}
        for answer in (a for r in found for phase in r.phases for a in phase.answers):
            if digests.setdefault(answer.asked.seed, answer.digest) != answer.digest:
                raise LoadError(f"{label} gave other bytes for {answer.asked} the second time")
        return found

    def _asked(self, number: int) -> Asked:
        return Asked(servers.MODEL, PROMPT.format(number), seed=number + 1, size=SIZE)
