"""The arguments of `python -m bench compare`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.compare import checkpoints, cpp, genai, servers
from bench.load import LoadError


def parse(arguments: Sequence[str], description: str | None) -> argparse.Namespace:
    """Parsed arguments. Exits with a message that names the allowed values if one is invalid."""
    parser = argparse.ArgumentParser("python -m bench compare", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkpoints", nargs="*", metavar="|".join(checkpoints.KINDS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--num", type=int, default=2, help="images per server with one client")
    parser.add_argument("--clients", default="1,8", help="numbers of clients, separated by commas")
    parser.add_argument(
        "--limit-s",
        type=float,
        default=240.0,
        help="CPU seconds for the first image of another server",
    )
    types = ",".join(servers.DTYPES)
    parser.add_argument("--dtypes", default=types, help="types of the plain servers, or none")
    parser.add_argument("--our-dtypes", default=types, help="types of daguerre, or int8")
    parser.add_argument("--executor", default="auto", help="executor of daguerre")
    parser.add_argument("--sd-server", type=Path, help="path of stable-diffusion.cpp's sd-server")
    parser.add_argument("--sd-dtypes", default="f16", help="types of its weights")
    parser.add_argument("--genai-python", type=Path, help="a Python that has openvino-genai")
    parser.add_argument("--genai-dtypes", default=",".join(genai.DTYPES), help="types of GenAI")
    parser.add_argument("--folder", type=Path, help="temporary directory for checkpoints (10 GB)")
    parser.add_argument("--output", type=Path, default=Path("build/bench-compare.json"))
    options = parser.parse_args(arguments)
    try:
        _check(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def _check(options: argparse.Namespace) -> None:
    """Split lists. Raises `ValueError` with the invalid value and the allowed ones."""
    known = checkpoints.TINY if options.quick else checkpoints.KINDS
    for name in options.checkpoints:
        if name not in known:
            raise ValueError(f"no checkpoint {name!r}; use one of {', '.join(known)}")
    options.dtypes = _listed("--dtypes", options.dtypes, ("none", *servers.DTYPES))
    ours = (*servers.DTYPES, servers.INT8)
    options.our_dtypes = _listed("--our-dtypes", options.our_dtypes, ours)
    options.sd_dtypes = _listed("--sd-dtypes", options.sd_dtypes, cpp.DTYPES)
    options.genai_dtypes = _listed("--genai-dtypes", options.genai_dtypes, genai.DTYPES)
    if "none" in options.dtypes:
        options.dtypes = []
    try:
        options.clients = [int(count) for count in options.clients.split(",")]
    except ValueError:
        raise ValueError(
            f"--clients is {options.clients!r}; it must be numbers separated by commas"
        ) from None
    if min(options.clients) < 1:
        raise ValueError(f"--clients is {options.clients}; the minimum is 1")
    if options.num < 1:
        raise ValueError(f"--num is {options.num}; the minimum is 1")
    if options.sd_server:
        _check_sd_server(options.sd_server, known, options.checkpoints)
    if options.genai_python:
        _check_genai_python(options.genai_python)


def _listed(option: str, given: str, allowed: Sequence[str]) -> list[str]:
    for word in given.split(","):
        if word not in allowed:
            raise ValueError(f"{option} has {word!r}; use one of {', '.join(allowed)}")
    return given.split(",")


def _check_sd_server(
    program: Path, known: Mapping[str, checkpoints.Kind], named: Sequence[str]
) -> None:
    if not any(known[name].is_whole for name in named):
        whole = ", ".join(name for name, kind in checkpoints.KINDS.items() if kind.is_whole)
        raise ValueError(f"--sd-server loads only {whole}; name it, and omit --quick")
    try:
        cpp.version(program)
    except (OSError, LoadError) as error:
        raise ValueError(
            f"--sd-server is {str(program)!r}; it must be the program sd-server that"
            f" stable-diffusion.cpp builds: {error}"
        ) from None


def _check_genai_python(python: Path) -> None:
    try:
        genai.version(python)
    except (OSError, LoadError) as error:
        raise ValueError(
            f"--genai-python is {str(python)!r}; it must be the Python of an environment with"
            f" openvino-genai and optimum-intel: {error}"
        ) from None
