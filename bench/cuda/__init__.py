"""Measures checkpoints with random weights on a CUDA device, in less than nine minutes.

    bench/cuda/run.sh                              with the wheels of bundle.sh
    python -m bench cuda                           with daguerre[diffusers] installed
    python -m bench cuda throughput                one part
    python -m bench cuda --tiny --device cpu       tests the benchmark

Each part is a process. It is stopped when its time is over, and the next part runs. Results are
written at once: JSON lines, and Markdown tables after each part.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from bench.cuda.results import Results, markdown, read

# Part -> seconds; a module of this package, in the order in which they run.
PARTS: Mapping[str, float] = {
    "checkpoint_tests": 90,
    "certificates": 130,
    "throughput": 145,
    "executors": 105,
    "arithmetic": 25,
    "previews": 20,
}
_LIBRARIES = ("torch", "triton", "diffusers", "transformers")


def main(arguments: Sequence[str]) -> int:
    """Returns 1 if a part failed or a test did; a part that was stopped has not failed."""
    options = _options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    file, log = options.output / "results.jsonl", options.output / "log.txt"
    for old in (file, log):
        old.unlink(missing_ok=True)
    Results(file, "run").add("facts", **_facts(options.device))
    failed = []
    for name in options.parts or PARTS:
        status, seconds = run_part(_command(name, file, options), PARTS[name], log)
        failure = f"failed with status {status}; see {log}"
        ended = "stopped" if status is None else failure if status else "done"
        Results(file, "run").add("parts", part_name=name, ended=ended, seconds=round(seconds, 1))
        (options.output / "results.md").write_text(markdown(read(file)))
        failed += [name] if status else []
    print((options.output / "results.md").read_text())
    return 1 if failed or any(row["table"] == "failures" for row in read(file)) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench cuda", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--tiny", action="store_true", help="small shapes")
    parser.add_argument("--no-compile", action="store_true", help="leaves torch.compile out")
    parser.add_argument("--output", type=Path, default=Path("build/bench-cuda"))
    options = parser.parse_args(arguments)
    for name in options.parts:
        if name not in PARTS:
            parser.error(f"no part {name!r}; use one of {', '.join(PARTS)}")
    return options


def _command(name: str, file: Path, options: argparse.Namespace) -> list[str]:
    flags = [
        f"--{flag}" for flag in ("tiny", "no-compile") if vars(options)[flag.replace("-", "_")]
    ]
    place = ["--results", str(file), "--device", options.device]
    return [sys.executable, "-m", "bench.cuda.part", name, *place, *flags]


def run_part(command: Sequence[str], limit_s: float, log: Path) -> tuple[int | None, float]:
    """Exit status and seconds; the status is None if the part was stopped at its limit.

    Its output is appended to the log.
    """
    started = time.perf_counter()
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _stop(process)
    return status, time.perf_counter() - started


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its children; does nothing if all have ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _facts(device: str) -> Mapping[str, str]:
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return {
        "device": platform.machine() if device == "cpu" else _output(query),
        "commit": _output(["git", "rev-parse", "--short", "HEAD"]),
        "python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return "; ".join(done.stdout.splitlines())


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "none"
