"""The servers of the comparison: one process each, with one checkpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from bench import process
from bench.compare.checkpoints import Kind
from bench.load import Target
from bench.process import ServerProcess

DTYPES = ("float32", "bfloat16")
INT8 = "int8"  # of daguerre: quantization, with the type "auto"
MODEL = "compared"
Starting: TypeAlias = AbstractContextManager[ServerProcess]
# A conversion, or an image behind seven others, may take long.
_PATIENT = {
    "DAGUERRE_WORKER_HANG_TIMEOUT_S": "1800",
    "DAGUERRE_MODEL_LOAD_TIMEOUT_S": "1800",
    "DAGUERRE_REQUEST_TIMEOUT_S": "3600",
}
_CATALOG = """[models."{name}"]
source = "diffusers"
path = {folder!r}
executor = "{executor}"
{precision}
steps = {steps}
guidance = {guidance}
"""


def daguerre(home: Path, checkpoint: Path, kind: Kind, dtype: str, executor: str) -> Starting:
    home.mkdir()
    precision = f"dtype = {dtype!r}" if dtype != INT8 else f"quantization = {INT8!r}"
    catalog = _CATALOG.format(
        name=MODEL,
        folder=str(checkpoint),
        executor=executor,
        precision=precision,
        steps=kind.steps,
        guidance=kind.guidance,
    )
    (home / "daguerre.toml").write_text(catalog)
    return process.serving(home, _PATIENT)


@contextmanager
def plain(checkpoint: Path, kind: Kind, dtype: str) -> Iterator[ServerProcess]:
    started = time.perf_counter()
    options = {"--dtype": dtype, "--steps": kind.steps, "--guidance": kind.guidance}
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "bench.compare.plain", str(checkpoint), *words]
    with process.launched(command, {"HF_HUB_OFFLINE": "1"}) as (running, url):
        start_s = time.perf_counter() - started
        yield ServerProcess(Target(url, key=""), start_s, running.pid, running)


def facts(known: Mapping[str, str]) -> dict[str, str]:
    return {**known, **{name: metadata.version(name) for name in ("torch", "diffusers")}}
