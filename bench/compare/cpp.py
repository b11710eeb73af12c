"""The server of stable-diffusion.cpp, which is built separately.

It reads a checkpoint in diffusers format whose networks have the sizes that are built into it.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from bench.compare.checkpoints import Kind
from bench.load import Asked, LoadError, Target
from bench.process import ServerProcess

NAME = "sd.cpp"
# Types of the weights. Convolutions are always float16, and sums float32.
DTYPES = ("f32", "f16", "bf16")
_START_TIMEOUT_S = 300.0
_POLL_S = 0.05


def version(program: Path) -> str:
    """Version of the program. Raises `OSError` or `LoadError` if it is not sd-server."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    found = re.search(r"stable-diffusion\.cpp version .*", told.stdout)
    if found is None:
        raise LoadError(f"--version exits with status {told.returncode} and prints {told.stdout!r}")
    return found.group(0)


@contextmanager
def serving(
    program: Path, log: Path, checkpoint: Path, kind: Kind, dtype: str
) -> Iterator[ServerProcess]:
    """Run a server with its output in `log`. Raises `LoadError` if it cannot load."""
    started, port = time.perf_counter(), _free_port()
    command = [str(program), *_options(checkpoint, kind, dtype), "--listen-port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, text=True)
    try:
        _wait_ready(port, process, log)
        start_s = time.perf_counter() - started
        target = Target(f"http://127.0.0.1:{port}", key="")
        yield ServerProcess(target, start_s, process.pid, process)
    finally:
        process.kill()
        process.wait()


def as_told(request: Asked) -> Asked:
    """The request with the server's own fields, such as the seed, embedded in the prompt."""
    own = json.dumps({"seed": request.seed})
    return replace(request, prompt=f"{request.prompt}<sd_cpp_extra_args>{own}</sd_cpp_extra_args>")


def _options(checkpoint: Path, kind: Kind, dtype: str) -> Sequence[str]:
    """Command line: a sampler with one forward per step, and torch's noise generator."""
    return [
        *("--model", str(checkpoint), "--type", dtype),
        *("--threads", str(torch.get_num_threads())),  # like the other servers
        *("--steps", str(kind.steps), "--cfg-scale", str(kind.guidance)),
        *("--sampling-method", "ddim_trailing", "--rng", "cpu"),
        "--diffusion-conv-direct",  # faster; other options are not (bench/LOG.md)
        *("--listen-ip", "127.0.0.1"),
    ]


def _wait_ready(port: int, process: subprocess.Popen[str], log: Path) -> None:
    """Wait until the server listens, which is after it has loaded the checkpoint."""
    deadline = time.perf_counter() + _START_TIMEOUT_S
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(_POLL_S)
    said = log.read_text(errors="replace")[-1000:]
    raise LoadError(f"{NAME} has not loaded the checkpoint (status {process.poll()}):\n{said}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
