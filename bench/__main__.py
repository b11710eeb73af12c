"""`python -m bench [NAME] [options]` runs one of `BENCHMARKS`, by default the first two."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from bench.load import LoadError
from daguerre.errors import SettingsError

BENCHMARKS = (
    *("serving", "encoding", "overhead", "previews", "ray", "tracing"),
    *("reduced", "compare", "cuda", "soak"),
)


def main(arguments: Sequence[str]) -> int:
    named = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if named is not None and named not in BENCHMARKS:
        print(f"no benchmark {named!r}; use one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    try:
        if named == "soak":
            from bench import soak

            return soak.main(arguments[1:])
        if named in ("overhead", "previews", "ray", "tracing"):
            import_module(f"bench.{named}").main(arguments[1:])
            return 0
        if named in ("reduced", "compare", "cuda"):
            return _of_checkpoints(named, arguments[1:])
        if named != "encoding":
            from bench import serving

            serving.main(arguments[1:] if named else arguments)
        if named != "serving":
            from bench import encoding

            encoding.main(arguments[1:] if named else ())
    except (LoadError, SettingsError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _of_checkpoints(named: str, arguments: Sequence[str]) -> int:
    try:
        status: int | None = import_module(f"bench.{named}").main(arguments)
    except ImportError as error:
        raise SettingsError(
            f"{error.name} cannot be imported; install it:"
            " pip install 'daguerre[diffusers,quantization]'"
        ) from None
    return status or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
