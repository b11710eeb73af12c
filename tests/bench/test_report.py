"""The verdicts and tables of a report."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.machine import Rates
from bench.networks import EngineCost
from bench.report import (
    PRODUCT_MEASURE,
    SPLIT,
    Arithmetic,
    Results,
    Row,
    Start,
    as_json,
    markdown,
    verdicts,
)


def row(name: str, concurrency: int, images_per_minute: float) -> Row:
    split = dict.fromkeys(SPLIT, 0.0)
    split |= {"queue": 1, "encode": 10, "denoise": 940, "decode": 30, "file": 12, "other": 7}
    return Row(name, concurrency, 16, 1000, 1100, images_per_minute, split, 200, None)


GOOD = Results(
    facts={"cores": "2"},
    sizes=[row("1024x1024", 1, 60)],
    formats=[row("png", 1, 60), row("png", 8, 60), row("jpeg", 1, 61)],
    single_peak_mb=500,
    loaded_peak_mb=549,
    num_operations=8_000_000_000,
    arithmetic=[Arithmetic("float32", True, 40, 41), Arithmetic("bfloat16", False, 30, 31)],
    rates=Rates(float32=250, bfloat16=260),  # 8 GFLOP in 40 ms are 200 GFLOP/s
    cost=EngineCost(forwards_ms=975, between_ms=5),
    start=Start(ready_s=2.0, help_s=0.1),
)


def words(results: Results) -> list[str]:
    return [verdict.word for verdict in verdicts(results)]


def test_all_met() -> None:
    """Values within every limit pass; the time outside forwards is the sum of its parts."""
    assert words(GOOD) == ["PASS"] * 7
    assert GOOD.outside_ms() == 1 + 12 + 7 + 5


@pytest.mark.parametrize(
    ("missed", "results"),
    [
        ([0, 1], replace(GOOD, cost=EngineCost(900, 80))),
        ([2], replace(GOOD, formats=[row("png", 1, 60), row("png", 8, 59)])),
        ([3], replace(GOOD, loaded_peak_mb=551)),
        ([4], replace(GOOD, rates=Rates(float32=250, bfloat16=270))),
        ([5], replace(GOOD, start=Start(3.0, 0.1))),
        ([6], replace(GOOD, start=Start(2.0, 0.3))),
    ],
)
def test_misses(missed: list[int], results: Results) -> None:
    """A value just over its limit misses that limit only."""
    assert [i for i, word in enumerate(words(results)) if word == "MISS"] == missed


def test_not_measured() -> None:
    """A value that was not measured neither passes nor misses, and the tables are complete."""
    results = replace(GOOD, single_peak_mb=None, start=Start(None, 0.1))
    assert [i for i, word in enumerate(words(results)) if word == "not measured"] == [3, 5]
    assert "not measured" in markdown(results)


def test_tables_have_the_numbers() -> None:
    """The Markdown and the JSON contain every row, every rate and every verdict."""
    text, data = markdown(GOOD), json.loads(json.dumps(as_json(GOOD)))
    assert "| png, 8 | 1000 | 1100 | 60.0 | 1.00 |" in text
    assert "| float32, served | 40.0 | 41.0 | 200 | 0.80 | 0.77 |" in text
    assert text.count("| PASS |") == 7
    judged = {v["measure"]: (v["value"], v["verdict"]) for v in data["verdicts"]}
    assert judged[PRODUCT_MEASURE] == (pytest.approx(0.769, abs=1e-3), "PASS")
    assert data["formats"][1]["images_per_minute"] == 60
