"""Runs one part in this process: `python -m bench.cuda.part NAME --results FILE ...`."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.cuda.results import Results
from bench.cuda.target import Target


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("python -m bench.cuda.part")
    parser.add_argument("name")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        target = Target(options.device, Path(folder), options.tiny, not options.no_compile)
        part = importlib.import_module(f"bench.cuda.{options.name}")
        part.run(target, Results(options.results, options.name))


if __name__ == "__main__":
    main(sys.argv[1:])
