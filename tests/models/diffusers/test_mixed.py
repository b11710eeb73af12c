"""`daguerre serve` with two checkpoints, the bundled model and mixed traffic.

Each request is sent alone first. Then twelve clients send each of them twice at once, and every
image must have the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import PATH, wait_until

from daguerre.storage.resources import ResourceStore

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)

NUM_CLIENTS = 12
CATALOG = """
[models.stable-image-ultra]
source = "embedded"

[models.sd]
source = "diffusers"
path = "sd"
executor = "eager"
steps = 2
max_batch_size = 4

[models.lumina]
source = "diffusers"
path = "lumina"
executor = "eager"
steps = 1
max_batch_size = 4
load = "on_demand"
"""
MODELS = ("stable-image-ultra", "sd", "lumina")
SIZES = ("1024x1024", "640x1536")
PROMPTS = ("a red fox", "the very old house in the night")
BODIES: list[dict[str, Any]] = [
    {"model": model, "prompt": PROMPTS[seed % 2], "size": size, "seed": seed}
    for seed, (model, size) in enumerate(product(MODELS, SIZES), start=1)
]


class Client:
    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self._url, self._keys = url, keys

    def digest(self, body: dict[str, Any]) -> str:
        headers = {"authorization": f"Bearer {self._keys[body['model']]}"}
        answer = httpx.post(self._url + PATH, json=body, headers=headers, timeout=500)
        assert answer.status_code == 200, answer.text
        return hashlib.sha256(answer.json()["data"][0]["b64_json"].encode()).hexdigest()


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Yields the server's address when it is ready."""
    environment = {
        **{name: value for name, value in os.environ.items() if "DAGUERRE" not in name},
        **{"DAGUERRE_EMBEDDED_STEPS": "1", "DAGUERRE_THREADS_PER_WORKER": "1"},
    }
    command = [sys.executable, "-m", "daguerre", "serve", "--home", str(home), "--port", "0"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            listens = re.search(r"listens on (\S+)", process.stdout.readline())
            assert listens, (home / "log").read_text()
            wait_until(
                lambda: httpx.get(listens[1] + "/readyz").status_code == 200, 600
            )  # also on a busy machine
            yield listens[1]
        finally:
            process.terminate()
            process.communicate()


@pytest.mark.timeout(900)  # eighteen megapixels on whatever cores there are
def test_mixed_traffic(tmp_path: Path) -> None:
    """Three models and two sizes at once: each image has the bytes that it has alone."""
    from . import tiny_llm
    from .test_served import megapixel

    megapixel(tmp_path / "sd")
    tiny_llm.lumina_2(tmp_path / "lumina")
    (tmp_path / "daguerre.toml").write_text(CATALOG)
    resources = ResourceStore.open("", tmp_path)
    keys = {model: resources.create(model, f"KEY_{i}")[1] for i, model in enumerate(MODELS)}
    resources.close()
    with serving(tmp_path) as url:
        client = Client(url, keys)
        alone = [client.digest(body) for body in BODIES]
        assert len(set(alone)) == len(BODIES)
        asked = [*BODIES, *BODIES[::-1]]
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            together = list(pool.map(client.digest, asked))
        metrics = httpx.get(url + "/metrics").text
    assert together == [*alone, *alone[::-1]]
    restarts = re.findall(r"^daguerre_worker_restarts_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    assert restarts and set(map(float, restarts)) == {0.0}
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and "loaded lumina in" in log
