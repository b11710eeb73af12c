"""The server of OpenVINO GenAI, whose packages are in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import process
from bench.compare.checkpoints import Kind
from bench.load import LoadError, Target
from bench.process import ServerProcess

NAME = "GenAI"
DTYPES = ("f32", "bf16")
_PROGRAM = Path(__file__).with_name("genai_program.py")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "OPENVINO_TELEMETRY": "0"}
_VERSIONS = """
from importlib.metadata import version
print(*(f"{name} {version(name)}" for name in ("openvino-genai", "optimum-intel")), sep=", ")
"""


def version(python: Path) -> str:
    """Versions of the packages of an interpreter. Raises `OSError` or `LoadError` without them."""
    return _output([str(python), "-c", _VERSIONS]).strip()


@contextmanager
def serving(
    python: Path, exported: Path, checkpoint: Path, kind: Kind, dtype: str, size: str
) -> Iterator[ServerProcess]:
    """Exports the checkpoint, unless that was done, and runs a server."""
    if not exported.exists():
        _output([str(python), str(_PROGRAM), "export", str(checkpoint), str(exported)])
    options = {"--dtype": dtype, "--steps": kind.steps, "--guidance": kind.guidance, "--size": size}
    words = [str(word) for option in options.items() for word in option]
    started = time.perf_counter()
    command = [str(python), str(_PROGRAM), "serve", str(exported), *words]
    with process.launched(command, _OFFLINE) as (running, url):
        start_s = time.perf_counter() - started
        yield ServerProcess(Target(url, key=""), start_s, running.pid, running)


def _output(command: list[str]) -> str:
    done = subprocess.run(command, env={**os.environ, **_OFFLINE}, capture_output=True, text=True)
    if done.returncode:
        raise LoadError(f"{command[:3]} ended with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
