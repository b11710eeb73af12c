"""The promise: the same request gives the same bytes, alone, among others, and after a restart.

`daguerre serve` itself, in processes of its own, with the model in the box. Each request is made
alone first; then eight clients make them all in two orders, on a server that was started again, and
on one whose data folder has no certificates yet. Every file must have the bytes of the first.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import httpx
import pytest
from conftest import MODEL, PATH, wait_until

from daguerre.cli import credentials
from daguerre.cpu import num_cores
from daguerre.params import SIZES

NUM_CLIENTS = 8
Body = Mapping[str, str | int]

SUBJECTS = (
    "a red fox in the snow",
    "a city at night, lights in the windows",
    "猫 on a roof",
    "a lighthouse on a rocky coast, gulls, waves, " + "far away a ship with white sails, " * 8,
)
UNWANTED = ("", "people, text", "blue " * 40)


def bodies(count: int) -> list[Body]:
    """Requests that differ in everything that may differ; every size comes early."""
    sizes = [f"{width}x{height}" for width, height in SIZES.values()]
    kinds = list(product(SUBJECTS, UNWANTED, ("png", "png", "jpeg")))
    random.Random(0).shuffle(kinds)
    return [
        {
            "model": MODEL,
            "prompt": prompt,
            "negative_prompt": unwanted,
            "output_format": output_format,
            "size": sizes[index % len(sizes)],
            "seed": 1 + index // 2,
        }
        for index, (prompt, unwanted, output_format) in zip(
            range(count), kinds * (1 + count // len(kinds)), strict=False
        )
    ]


@dataclass(frozen=True)
class Served:
    client: httpx.Client

    def digest(self, body: Body) -> str:
        """Of the file that the body is answered with."""
        answer = self.client.post(PATH, json=body)
        assert answer.status_code == 200, answer.text
        file = base64.b64decode(answer.json()["data"][0]["b64_json"])
        return hashlib.sha256(file).hexdigest()

    def alone(self, asked: Sequence[Body]) -> list[str]:
        return [self.digest(body) for body in asked]

    def among_others(self, asked: Sequence[Body], order: int) -> list[str]:
        """In the order of `asked`, whatever the order in which they are made."""
        places = list(range(len(asked)))
        random.Random(order).shuffle(places)
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            found = dict(
                zip(places, pool.map(self.digest, (asked[i] for i in places)), strict=True)
            )
        return [found[i] for i in range(len(asked))]

    def certificates(self) -> dict[str, bool]:
        """Evaluation -> whether sharing it was proved to change no bit."""
        lines = self.client.get("/metrics").text
        found = re.findall(r'^daguerre_certificate\{evaluation="(.*)"\} (\S+)', lines, re.MULTILINE)
        return {evaluation: float(held) == 1.0 for evaluation, held in found}


@contextmanager
def serving(home: Path, num_steps: int, **more: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "daguerre", "serve", "--port", "0"],
        env={
            **{name: value for name, value in os.environ.items() if "DAGUERRE_" not in name},
            "PYTHONPATH": str(Path(sys.modules["daguerre"].__path__[0]).parent),
            "DAGUERRE_HOME": str(home),
            "DAGUERRE_EMBEDDED_STEPS": str(num_steps),
            **more,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        listens = re.match(r"daguerre listens on (\S+)", process.stdout.readline())
        assert listens is not None, f"the server ended with status {process.wait()}"
        headers = {"authorization": f"Bearer {credentials.read(home)['DIFFUSION'].key}"}
        with httpx.Client(base_url=listens.group(1), headers=headers, timeout=600) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200, timeout_s=60)
            yield Served(client)
    finally:
        process.terminate()
        process.communicate()


def keep_the_promise(folder: Path, asked: Sequence[Body], num_steps: int) -> dict[str, bool]:
    """Checks everything, and returns the certificates that were found on the way."""
    with serving(folder / "first", num_steps) as server:
        expected = server.alone(asked)
        assert server.certificates() == {}
        assert server.among_others(asked, order=1) == expected
        assert server.among_others(asked, order=2) == expected
        certificates = server.certificates()
    with serving(folder / "first", num_steps) as server:
        assert certificates.items() <= server.certificates().items()
        assert server.among_others(asked, order=1) == expected
    with serving(folder / "second", num_steps) as server:
        assert server.among_others(asked, order=2) == expected
    assert len(set(expected)) == len(asked)  # unlike requests, unlike images
    return certificates


def report(certificates: Mapping[str, bool]) -> None:
    """Shown by pytest -rP: which forwards may be shared on this machine, and which may not."""
    for evaluation, is_held in certificates.items():
        print("exact" if is_held else "refused", evaluation)


def assert_decided(certificates: Mapping[str, bool]) -> None:
    """With too few cores for sharing to pay, nothing was tried; else a certificate decided."""
    if num_cores() < 4:
        assert certificates == {}
    else:
        assert any(re.match(r"denoiser\(.*\) rows 2\+2$", name) for name in certificates)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_promise(tmp_path: Path) -> None:
    """Twelve requests of two steps: the same bytes in all circumstances, and sharing was decided
    by a certificate that /metrics shows, where there are cores for it."""
    certificates = keep_the_promise(tmp_path, bodies(12), num_steps=2)
    report(certificates)
    assert_decided(certificates)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_repeats(tmp_path: Path) -> None:
    """What an Idempotency-Key or the cache gives out is what the model draws anew: a drawn seed is
    sent again without a key, and the key again to a server that keeps no file."""
    body, key = {"model": MODEL, "prompt": SUBJECTS[0]}, {"idempotency-key": "one"}
    with serving(tmp_path, 1, DAGUERRE_CACHE_SEEDED_REQUESTS="1") as server:
        first = server.client.post(PATH, json=body, headers=key)
        seeded = {**body, "seed": int(first.headers["x-seed"])}
        hits = [
            server.client.post(PATH, json=body, headers=key),
            server.client.post(PATH, json=seeded),
        ]
    assert [answer.headers["x-cache"] for answer in (first, *hits)] == ["miss", "hit", "hit"]
    with serving(tmp_path, 1, DAGUERRE_RESULTS_MAX_BYTES="0") as server:
        made = [
            server.client.post(PATH, json=body, headers=key),
            server.client.post(PATH, json=seeded),
        ]
        done = re.search(r'jobs_total{outcome="done"} (\S+)', server.client.get("/metrics").text)
    assert done and float(done.group(1)) == 2
    assert made[0].headers["idempotent-replayed"] == "true"
    assert made[0].content == first.content
    assert {answer.json()["data"][0]["b64_json"] for answer in (*hits, *made)} == {
        first.json()["data"][0]["b64_json"]
    }


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_promise_at_length(tmp_path: Path) -> None:
    """Forty requests with the steps that are served: the same bytes in all circumstances."""
    certificates = keep_the_promise(tmp_path, bodies(40), num_steps=0)
    report(certificates)
    assert_decided(certificates)
