"""`python -m bench [NAME] [options]` runs one of `BENCHMARKS`, by default the first two."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from bench.load import LoadError
from daguerre.errors import SettingsError

_CHECKPOINTS = "diffusers,quantization"
# Name -> the extras that it needs.
BENCHMARKS = {
    "serving": "",
    "encoding": "",
    "overhead": "",
    "previews": "",
    "ray": "ray",
    "tracing": "otel",
    "reduced": _CHECKPOINTS,
    "compare": _CHECKPOINTS,
    "cuda": _CHECKPOINTS,
    "soak": "test",
}


def main(arguments: Sequence[str]) -> int:
    named = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if named is not None and named not in BENCHMARKS:
        print(f"no benchmark {named!r}; use one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    try:
        if named is not None:
            return _run(named, arguments[1:])
        return _run("serving", arguments) or _run("encoding", ())
    except (LoadError, SettingsError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        status: int | None = import_module(f"bench.{name}").main(arguments)
    except ImportError as error:
        if not BENCHMARKS[name]:
            raise
        raise SettingsError(
            f"{error.name} cannot be imported; install it:"
            f" pip install 'daguerre[{BENCHMARKS[name]}]'"
        ) from None
    return status or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
