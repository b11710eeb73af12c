"""Compares daguerre with a plain diffusers server: same checkpoint, size and steps, in one run.

    python -m bench compare                  all checkpoints, about 15 minutes on two cores
    python -m bench compare --quick          tiny checkpoints, to test the benchmark
    python -m bench compare dit --num 4      one checkpoint, with more images
    python -m bench compare --clients 1      one client only
    python -m bench compare sd-1.5-whole --sd-server PATH    stable-diffusion.cpp's server, too
    python -m bench compare --genai-python PATH              OpenVINO GenAI, too

The servers run side by side and alternate, so that a slow phase of the machine affects all of them.
Another server without an image after `--limit-s` of CPU time is stopped, and the table says so.
Needs the extra daguerre[diffusers].
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
from bench.compare import checkpoints, cpp, genai, servers
from bench.compare.options import parse
from bench.compare.report import OURS, Comparison, Result, as_json, markdown, pixels
from bench.load import Asked, LoadError, Phase, run_phase
from bench.process import ServerProcess

SIZE = "1024x1024"
PROMPT = "a lighthouse on a rocky coast in the evening, number {}"


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments, __doc__)
    kinds = checkpoints.TINY if options.quick else checkpoints.KINDS
    facts, compared = _facts(options), []
    for name in options.checkpoints or [name for name in kinds if name in checkpoints.TINY]:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            compared.append(_compared(name, kinds[name], Path(folder), options))
        print(f"{compared[-1].name} is done", flush=True)
    print(markdown(facts, compared))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(as_json(facts, compared), indent=1) + "\n")
    print(f"\nAlso in {options.output}")
    return 0


def _facts(options: argparse.Namespace) -> Mapping[str, str]:
    known = dict(servers.facts(machine.facts()))
    if options.sd_server:
        known[cpp.NAME] = cpp.version(options.sd_server)
    if options.genai_python:
        known[genai.NAME] = genai.version(options.genai_python)
    return known


def _compared(
    name: str, kind: checkpoints.Kind, folder: Path, options: argparse.Namespace
) -> Comparison:
    checkpoint = folder / "checkpoint"
    num_parameters = kind.make(checkpoint)
    with ExitStack() as stack:
        loads: dict[str, Load] = {}
        for label, starting in _servers(kind, folder, checkpoint, options).items():
            server = stack.enter_context(starting())
            # A conversion may take as long as it needs.
            limit_s = math.inf if label.startswith(OURS) else options.limit_s
            as_told = cpp.as_told if label.startswith(cpp.NAME) else _as_it_is
            loads[label] = Load(server, limit_s, as_told)
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
    """Servers by label, daguerre first, because the conversion needs free memory."""
    found: dict[str, Callable[[], servers.Starting]] = {}
    for dtype in options.our_dtypes:
        found[f"{OURS} {dtype}"] = functools.partial(
            servers.daguerre, folder / dtype, checkpoint, kind, dtype, options.executor
        )
    for dtype in options.dtypes:
        found[f"plain {dtype}"] = functools.partial(servers.plain, checkpoint, kind, dtype)
    for dtype in options.sd_dtypes if options.sd_server and kind.is_whole else ():
        found[f"{cpp.NAME} {dtype}"] = functools.partial(
            cpp.serving, options.sd_server, folder / f"{dtype}.log", checkpoint, kind, dtype
        )
    for dtype in options.genai_dtypes if options.genai_python else ():
        exported = folder / "exported"
        found[f"{genai.NAME} {dtype}"] = functools.partial(
            genai.serving, options.genai_python, exported, checkpoint, kind, dtype, SIZE
        )
    return found


def _as_it_is(request: Asked) -> Asked:
    return request


class Load:
    """The phases of one server. Its first request is timed separately."""

    def __init__(
        self,
        server: ServerProcess,
        limit_s: float,
        as_told: Callable[[Asked], Asked] = _as_it_is,
    ) -> None:
        self._server, self._limit_s, self._as_told = server, limit_s, as_told
        self._phases: dict[int, list[Phase]] = {}
        self._cpu_s: dict[int, list[float | None]] = {}
        self._is_given_up = False
        self.first = self._first()

    def _first(self) -> Phase | None:
        """The first request, or None if the server exceeded its CPU time."""
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
            pixels(answer)  # checks that it is an image
            if digests.setdefault(answer.asked.seed, answer.digest) != answer.digest:
                raise LoadError(f"{label} gave other bytes for {answer.asked} the second time")
        return found

    def _asked(self, number: int) -> Asked:
        request = Asked(servers.MODEL, PROMPT.format(number), seed=number + 1, size=SIZE)
        return self._as_told(request)
