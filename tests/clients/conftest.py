"""Shared fixtures of the client tests: `daguerre serve`, and how to run a client.

The server is a process with the bundled model and one step per image. The tests cover the
transport, so they check only the size of an image, and that it has more than one colour.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LITELLM = ROOT / ".venv" / "litellm" / "bin" / "python"
LANGCHAIN = ROOT / ".venv" / "langchain" / "bin" / "python"
NODE_MODULES = HERE / "node_modules"
LEAST_NODE = 20
TIMEOUT_S = 240
PROMPT = "the mountains at sunset"  # as in call.mjs, which must get the same bytes
# Variables that would change the behaviour or the target of a client.
_FOREIGN = (
    *("DAGUERRE_", "DIFFUSION_", "OPENAI_", "LITELLM_", "HEROKU_", "INFERENCE_", "NODE_"),
    *("LANGCHAIN_", "LANGSMITH_"),
)


@dataclass(frozen=True)
class Service:
    """A running server, and the environment variables for applications."""

    url: str
    key: str
    model: str
    environment: dict[str, str]


def run(command: list[str], service: Service, folder: Path) -> str:
    """Standard output of a command, which must succeed."""
    done = subprocess.run(
        command,
        env=service.environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def image(service: Service, **fields: object) -> bytes:
    """The file of a plain HTTP request, without a client package."""
    response = httpx.post(
        service.url + "/v1/images/generations",
        headers={"authorization": f"Bearer {service.key}"},
        json={"model": service.model, **fields},
        timeout=TIMEOUT_S,
    )
    assert response.status_code == 200, response.text
    return base64.b64decode(response.json()["data"][0]["b64_json"], validate=True)


def assert_picture(data: bytes, size: tuple[int, int] = (1024, 1024), format: str = "PNG") -> None:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == (format, size, "RGB")
        assert np.ptp(np.asarray(image), axis=(0, 1)).max() > 16, "one flat colour"


def why_no_node() -> str | None:
    """Reason why the Node clients cannot run here, or None."""
    node = shutil.which("node")
    if node is None:
        return "Node is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < LEAST_NODE:
        return f"Node is {version}, and the clients need {LEAST_NODE} or later"
    if not NODE_MODULES.exists():
        return "the Node clients are not installed; `make test` does it where npm is"
    return None


def why_no_litellm() -> str | None:
    """Reason why LiteLLM cannot run here, or None."""
    return None if LITELLM.exists() else "LiteLLM is not installed; `make test` does it"


def why_no_langchain() -> str | None:
    """Reason why LangChain cannot run here, or None."""
    return None if LANGCHAIN.exists() else "LangChain is not installed; `make test` does it"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for clients that read a link but cannot request it."""
    with serving(tmp_path_factory.mktemp("links"), "--default-response-format", "url") as service:
        yield service


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Service]:
    environment = _environment(folder)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [str(folder / "daguerre"), "serve", "--port", "0", *flags],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("daguerre listens on "), (folder / "log").read_text()
        yield _ready(_configured(environment, folder))
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def _environment(folder: Path) -> dict[str, str]:
    """The current environment without foreign variables, with this `daguerre` first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    command = folder / "daguerre"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m daguerre "$@"\n')
    command.chmod(0o755)
    return kept | {
        "PATH": os.pathsep.join((str(folder), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1",
        "DAGUERRE_HOME": str(folder / "home"),
        "DAGUERRE_EMBEDDED_STEPS": "1",
        # By default, LiteLLM downloads a price list at import.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _configured(environment: dict[str, str], folder: Path) -> Service:
    printed = subprocess.run(
        [str(folder / "daguerre"), "config", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    variables = json.loads(printed.stdout)
    url, key, model = (variables[f"DIFFUSION_{name}"] for name in ("URL", "KEY", "MODEL_ID"))
    return Service(url, key, model, environment | variables)


def _ready(service: Service) -> Service:
    deadline = time.monotonic() + TIMEOUT_S
    while httpx.get(service.url + "/readyz").status_code != 200:
        assert time.monotonic() < deadline, f"not ready within {TIMEOUT_S} s"
        time.sleep(0.2)
    return service
