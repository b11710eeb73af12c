"""The commands without standard streams, and with characters that a terminal cannot print."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

from cli.conftest import environment
from daguerre.cli import main

# The program with a fake engine. It reports the descriptor of the next file that is opened.
PROGRAM = """
import os, sys
import daguerre.factory
from conftest import FakeEngine
daguerre.factory.build_engine = lambda settings, catalog: FakeEngine()
from daguerre.cli.main import main
status = main(sys.argv[1:])
with open("next.txt", "w") as opened:
    opened.write(str(opened.fileno()))
sys.exit(status)
"""
CLOSED = [">&-", "2>&-", "<&-", ">&- 2>&- <&-"]


def run_with(
    redirection: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "-", sys.executable, "-c", PROGRAM, *arguments],
        env=environment() | variables,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )


@pytest.mark.parametrize("redirection", CLOSED)
def test_closed_streams(redirection: str) -> None:
    """Commands run with closed streams, and no file takes the place of the standard output."""
    done = run_with(redirection, "generate", "a fox", "-o", "x.png", "--seed", "5")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert Path("x.png").stat().st_size > 100
    assert int(Path("next.txt").read_text()) > 2


@pytest.mark.parametrize(
    ("redirection", "arguments", "message"),
    [
        (">&-", ["generate", "fox", "-o", "-"], "standard output is closed; give a file"),
        ("<&-", ["generate", "--prompts", "-", "-o", "x"], "standard input contains no prompt"),
        ("2>&-", ["sreve"], ""),
        ("2>/dev/full", ["sreve"], ""),
        ("2</dev/null", ["sreve"], ""),
    ],
)
def test_failures_without_streams(redirection: str, arguments: list[str], message: str) -> None:
    """A usage error has its status, whether or not its message can be written."""
    done = run_with(redirection, *arguments)
    assert done.returncode == main.EXIT_USAGE
    assert message in done.stderr and "Traceback" not in done.stderr


def test_unprintable_names() -> None:
    """A name that the terminal's encoding lacks is printed with escapes."""
    name = "schön-\udcff.png"
    done = run_with(
        "", "generate", "a fox", "-o", name, "--seed", "5", PYTHONIOENCODING="utf-8:strict"
    )
    assert done.returncode == 0
    assert done.stdout.startswith("schön-\\udcff.png  seed 5") and Path(name).exists()


def test_confirmation_without_stdin(run: Callable[..., str]) -> None:
    """Nothing is removed without a confirmation."""
    run("models", "create", MODEL, "--as", "FOX")
    done = run_with("<&-", "models", "destroy", "FOX")
    assert done.returncode == main.EXIT_USAGE and "add --confirm FOX" in done.stderr
