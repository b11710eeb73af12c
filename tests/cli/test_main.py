"""The program: its help, exit status and error messages."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from conftest import MODEL

import daguerre.factory
from cli.conftest import environment
from daguerre.cli import main
from daguerre.config import Settings


def commands() -> Iterator[tuple[str, click.Command]]:
    groups: list[tuple[str, click.Command]] = [("", main.program)]
    while groups:
        path, command = groups.pop()
        yield path, command
        if isinstance(command, click.Group):
            groups += [(f"{path} {name}", sub) for name, sub in command.commands.items()]


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda value: str(value)[:20])
def test_help(run: Callable[..., str], path: str, command: click.Command) -> None:
    """Every command has a help page, and every option a description."""
    printed = run(*path.split(), "--help")
    assert printed.startswith(f"Usage: daguerre{path} ")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help and parameter.opts[-1] in printed


def test_defaults_are_shown(run: Callable[..., str]) -> None:
    """The help names the default of every setting that has one."""
    printed = " ".join(run("serve", "--help").split())
    for setting in fields(Settings):
        if setting.default not in (None, ""):
            assert f"default: {setting.default};" in printed, setting.name
    assert "default: 127.0.0.1; DAGUERRE_HOST" in printed


def test_no_command_prints_help(run: Callable[..., str]) -> None:
    """Without a command, the help is printed, also in a group of commands."""
    assert run() == run("--help")
    assert run("models") == run("models", "--help")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("serve --prt 1", "'--port'"),
        ("sreve", "'serve'"),
        ("serve --port 99999", "--port is '99999'; it must be an integer from 0 to 65535"),
        ("serve --port", "requires an argument; see 'daguerre serve --help'"),
        ("models create --as", "requires an argument; see 'daguerre models create --help'"),
        ("--nonsense", "see 'daguerre --help'"),
        ("serve --image-store ~nobody-of-this-name/x", "--image-store is '~nobody-of"),
        ("serve --home " + "x" * 300, "cannot use the data directory xxx"),
        ("config --database-url sqlite:////nowhere/x.db", "with --database-url, or with --home"),
        ("generate", "give either a PROMPT or a file of prompts with --prompts"),
        ("generate fox", "give a file to write with -o"),
        ("generate fox -o x.png --seed red", 'seed is "red"; it must be an integer'),
        ("models create", "'MODEL'"),
        ("models info NOPE", "no resource NOPE; existing resources: none"),
        ("config --as NOPE", "no resource NOPE; existing resources: none"),
        ("info --home=", "--home is ''; it must be a path"),
        (
            "models create stable-image-ultra --as daguerre_database",
            "not begin with DAGUERRE_",
        ),
        ("serve --host a..b --port 0", "cannot listen on a..b, port 0"),
        ("config --database-url postgres://u@h:s3cret/x", "the database URL is malformed"),
        ("config --database-url postgresql://[::1/x", "the database URL is malformed"),
        ("config --database-url sqlite://", "in memory, which threads cannot share"),
        ("config --database-url sqlite:///:memory:", "must name a file"),
        ("config --database-url sqlite:///x.db?timeout=abc", "rejects a host or a parameter"),
    ],
)
def test_usage_error_is_one_line(fails: Callable[..., str], arguments: str, message: str) -> None:
    """A usage error is one line that names what is allowed, with status 2."""
    assert message in fails(*arguments.split())


@pytest.mark.parametrize("command", ["models info", "models create fox --as", "generate -o"])
def test_long_value_is_shortened(fails: Callable[..., str], command: str) -> None:
    """The error for a long argument remains readable."""
    assert len(fails(*command.split(), "x" * 100_000)) < 700


def test_bad_variable_is_one_line(
    fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a bad environment variable names the variable."""
    monkeypatch.setenv("DAGUERRE_MAX_RUNNING_JOBS", "many")
    assert "DAGUERRE_MAX_RUNNING_JOBS is 'many'; it must be" in fails("serve")


def test_unusable_home_is_one_line(fails: Callable[..., str], tmp_path: Path) -> None:
    """Every command that needs the data directory rejects an unusable one."""
    file = tmp_path / "file"
    file.write_text("")
    for command in ("serve", "config", "models list", "models info X"):
        error = fails(*command.split(), "--home", str(file))
        assert f"cannot use the data directory {file}" in error and "--home" in error


def test_unusable_database_file_is_named(fails: Callable[..., str], home: Path) -> None:
    """The error names a file in the data directory that cannot be used, not only the directory."""
    (home / "daguerre.db").mkdir(parents=True)
    assert f"cannot use the file {home}/daguerre.db: Is a directory" in fails("config")


@pytest.mark.parametrize("command", ["--help", "config", "models list", "info"])
def test_full_output_is_one_line(command: str, run: Callable[..., str]) -> None:
    """A full disk is reported in one line; a closed pipe ends the program silently."""
    run("models", "create", MODEL, "--as", "FOX")
    program = [sys.executable, "-m", "daguerre", *command.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            program, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == main.EXIT_FAILURE
    assert done.stderr == "daguerre: cannot read or write the output: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        program, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (main.EXIT_FAILURE, "")


def test_empty_variables_are_unset(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty variables of libraries are not taken for the root or for an address."""
    empty = ("HOME", "XDG_DATA_HOME", "HF_HOME", "AWS_ENDPOINT_URL", "OTEL_BSP_MAX_QUEUE_SIZE")
    for name in (*empty, "DAGUERRE_HOME"):
        monkeypatch.setenv(name, "")
    run("--version")
    assert not set(empty) & set(os.environ)
    assert Settings().data_dir().is_relative_to(pwd.getpwuid(os.getuid()).pw_dir)


def test_version(run: Callable[..., str]) -> None:
    """The version is one line."""
    assert run("--version") == f"daguerre {daguerre.__version__}\n"


def test_module_runs() -> None:
    """`python -m daguerre` runs the program."""
    done = subprocess.run(
        [sys.executable, "-m", "daguerre", "sreve"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == main.EXIT_USAGE and "'serve'" in done.stderr
