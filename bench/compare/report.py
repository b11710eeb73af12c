"""Tables and verdicts of a comparison, in Markdown and JSON.

A server that was stopped has no figures; the table shows a lower bound of its CPU-time ratio."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from bench.load import Answer, LoadError, Phase, percentile
from bench.report import Verdict, verdict_table
from bench.table import table

OURS, REFERENCE = "daguerre", "plain float32"
# Minimum ratio with one client, by types; with more clients daguerre must not be slower.
_WANTED = {
    ("daguerre bfloat16", "plain float32"): 1.8,
    ("daguerre bfloat16", "plain bfloat16"): 1.15,
    ("daguerre float32", "plain float32"): 1.0,
    ("daguerre bfloat16", "sd.cpp f16"): 1.0,
    ("daguerre float32", "GenAI f32"): 1.0,
    ("daguerre bfloat16", "GenAI bf16"): 1.0,
}
# Of 255: rounding causes less than one, a different image several tens.
_MAX_DISTANCE = 8.0


@dataclass(frozen=True)
class Result:
    """One server at one concurrency.

    `first_s` is the wall time of the first image, including one-time work. For a server that was
    stopped it is the CPU time, and there are no phases."""

    server: str
    concurrency: int
    phases: Sequence[Phase]
    first_s: float
    cpu_s: Sequence[float | None] = ()  # CPU time of each phase

    @property
    def answers(self) -> list[Answer]:
        return [answer for phase in self.phases for answer in phase.answers]

    @property
    def images_per_minute(self) -> float | None:
        if not self.phases:
            return None
        return 60 * len(self.answers) / sum(phase.wall_s for phase in self.phases)

    @property
    def cpu_s_per_image(self) -> float | None:
        """CPU time per image over all cores; less sensitive to other load than wall time."""
        spent = [each for each in self.cpu_s if each is not None]
        return sum(spent) / len(self.answers) if spent and len(spent) == len(self.cpu_s) else None

    def p50_s(self) -> float:
        return percentile([answer.total_ms / 1000 for answer in self.answers], 50)


@dataclass(frozen=True)
class Distance:
    """From the reference over all pixels and images: the mean and the largest, of 255, and the peak
    signal-to-noise ratio."""

    mean: float
    largest: int
    psnr_db: float

    @classmethod
    def of(cls, differences: np.ndarray[Any, np.dtype[np.int16]]) -> Distance:
        found = np.abs(differences.astype(float))
        error = float((found**2).mean())
        psnr_db = 10 * math.log10(255**2 / error) if error else math.inf
        return cls(float(found.mean()), int(found.max()), psnr_db)

    def __str__(self) -> str:
        return f"{self.mean:.3f}, {self.largest}, {self.psnr_db:.1f}"


@dataclass(frozen=True)
class Comparison:
    """All servers with one checkpoint."""

    name: str
    words: str
    num_parameters: int
    steps: int
    guidance: float
    size: str
    results: Sequence[Result]

    def find(self, server: str, concurrency: int) -> Result | None:
        found = (r for r in self.results if (r.server, r.concurrency) == (server, concurrency))
        return next(found, None)

    @property
    def ours(self) -> list[str]:
        """Labels of daguerre, one per type."""
        return list(dict.fromkeys(r.server for r in self.results if _is_ours(r.server)))

    def ratio(self, result: Result, server: str) -> float | None:
        """Images a minute of `server` (daguerre), relative to this one."""
        ours = self.find(server, result.concurrency)
        if ours is None or not ours.images_per_minute or not result.images_per_minute:
            return None
        return ours.images_per_minute / result.images_per_minute

    def cpu_ratio(self, result: Result, server: str) -> float | None:
        """CPU time per image relative to `server`; a lower bound for a stopped server."""
        ours = self.find(server, result.concurrency)
        theirs_s = result.cpu_s_per_image if result.phases else result.first_s
        if ours is None or not ours.cpu_s_per_image or theirs_s is None:
            return None
        return theirs_s / ours.cpu_s_per_image

    def distance(self, result: Result) -> Distance | None:
        reference = self.find(REFERENCE, result.concurrency)
        if reference is None:
            return None
        theirs = {answer.asked.seed: answer for answer in reference.answers}
        pairs = [(a, theirs[a.asked.seed]) for a in result.answers if a.asked.seed in theirs]
        if not pairs:
            return None
        found = Distance.of(np.stack([pixels(a) - pixels(b) for a, b in pairs]))
        if _is_ours(result.server) and found.mean > _MAX_DISTANCE:
            raise LoadError(
                f"{self.name}: our images differ by {found.mean:.0f} of 255 from the plain ones"
            )
        return found

    def verdicts(self) -> Iterator[Verdict]:
        for (ours, theirs), least in _WANTED.items():
            for result in self.results:
                if result.server != theirs or ours not in self.ours:
                    continue
                wanted = least if result.concurrency == 1 else 1.0
                ratio = (self.ratio if result.phases else self.cpu_ratio)(result, ours)
                if not result.phases and ratio is not None and ratio < wanted:
                    ratio = None  # a lower bound
                measure = f"{self.name}, {result.concurrency} clients: {ours} by {theirs}"
                yield Verdict(measure, ratio, "x", wanted, False)


def _is_ours(server: str) -> bool:
    return server.split()[0] == OURS


def markdown(facts: Mapping[str, str], compared: Sequence[Comparison]) -> str:
    parts = [table(("machine", ""), facts.items())]
    for each in compared:
        parts.append(
            f"{each.name}: {each.words}, {each.num_parameters / 1e6:.0f} million parameters, random"
            f" weights, {each.steps} steps, guidance {each.guidance:g}, {each.size}:\n\n"
            + table(_head(each), (_cells(each, result) for result in each.results))
        )
    parts.append(verdict_table([verdict for each in compared for verdict in each.verdicts()]))
    return "\n\n".join(parts)


def _head(each: Comparison) -> tuple[str, ...]:
    ours = each.ours
    return (
        "server, clients",
        "images",
        "p50 s",
        "images/min",
        *(f"{server} by this" for server in ours),
        "CPU s an image",
        *(f"by {server}" for server in ours),
        "first image s",
        "off plain float32, of 255: mean, largest, PSNR dB",
    )


def _cells(each: Comparison, result: Result) -> tuple[str, ...]:
    name, ours = f"{result.server}, {result.concurrency}", each.ours
    if not result.phases:
        unknown = ["?" for _ in ours]
        least = [f"> {_told(each.cpu_ratio(result, server))}" for server in ours]
        spent = f"> {result.first_s:.0f}"
        return (name, "0", "none", "none", *unknown, spent, *least, "?", "?")
    return (
        name,
        str(len(result.answers)),
        f"{result.p50_s():.2f}",
        f"{result.images_per_minute:.2f}",
        *(_told(each.ratio(result, server)) for server in ours),
        _told(result.cpu_s_per_image),
        *(_told(each.cpu_ratio(result, server)) for server in ours),
        f"{result.first_s:.1f}",
        str(each.distance(result) or "?"),
    )


def _told(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def as_json(facts: Mapping[str, str], compared: Sequence[Comparison]) -> dict[str, Any]:
    return {"facts": dict(facts), "compared": [_comparison_as_json(each) for each in compared]}


def _comparison_as_json(each: Comparison) -> dict[str, Any]:
    results = [
        {
            "server": result.server,
            "clients": result.concurrency,
            "total_ms": [answer.total_ms for answer in result.answers],
            "images_per_minute": result.images_per_minute,
            "first_s": result.first_s,
            "ratios": {ours: each.ratio(result, ours) for ours in each.ours},
            "cpu_s_per_image": result.cpu_s_per_image,
            "cpu_ratios": {ours: each.cpu_ratio(result, ours) for ours in each.ours},
            "distance": asdict(distance) if (distance := each.distance(result)) else None,
        }
        for result in each.results
    ]
    judged = [{**asdict(verdict), "verdict": verdict.word} for verdict in each.verdicts()]
    named = ("name", "words", "num_parameters", "steps", "guidance", "size")
    known = {name: getattr(each, name) for name in named}
    return {**known, "results": results, "verdicts": judged}


def pixels(answer: Answer) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Pixels (H, W, 3). Raises `LoadError` if the size is wrong or the image has one colour."""
    found = np.asarray(Image.open(io.BytesIO(answer.file)).convert("RGB")).astype(np.int16)
    width, height = map(int, answer.asked.size.split("x"))
    if found.shape != (height, width, 3) or found.std() == 0:
        raise LoadError(f"{answer.asked} returned an image of another size")
    return found
