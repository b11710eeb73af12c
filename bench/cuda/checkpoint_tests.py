"""Runs the tests of checkpoints on the device: images against the stock pipelines, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.cuda import recorder
from bench.cuda.results import Results
from bench.cuda.target import Target

TESTS = Path("tests/models/diffusers")
FILES = (
    "test_images.py",
    "test_cuda.py",
    "test_samplers.py",
    "test_previews.py",
    "test_caches.py",
    "test_torch_compile.py",
)


def run(target: Target, results: Results, files: tuple[str, ...] = FILES) -> None:
    """Does not read `tests/conftest.py`, which needs the packages of the server."""
    environment = {
        **os.environ,
        "DAGUERRE_TEST_DEVICE": target.device,
        recorder.VARIABLE: str(results.file),
    }
    options = ["-q", "-W", "default", "-p", "no:cacheprovider", "-p", recorder.__name__]
    command = [sys.executable, "-m", "pytest", *options, "--confcutdir", str(TESTS)]
    command += [str(TESTS / file) for file in files]
    status = subprocess.run(command, env=environment, check=False).returncode
    if status not in (0, 1):  # all passed, or some failed
        raise RuntimeError(f"pytest ended with status {status}; see the log")
