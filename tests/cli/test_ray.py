"""`daguerre ray` without a cluster: its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from daguerre.cli.main import EXIT_USAGE, main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path))


@pytest.mark.parametrize(
    "arguments",
    [
        ["ray", "status"],
        ["ray", "deploy"],
        ["ray", "delete", "daguerre-1"],
        ["serve", "--engine", "ray"],
        ["serve", "--engine", "ray", "--ray-address", "10.0.0.1:6379"],
    ],
)
def test_without_ray(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(arguments) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error == "daguerre: ray cannot be imported; install it: pip install 'daguerre[ray]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["ray", "deploy", "--min-replicas", "3", "--max-replicas", "2"],
            "--max-replicas is 2, less than --min-replicas, 3; give a larger number",
        ),
        (["ray", "status", "--ray-address", "ray://head"], "it must be host:port, such as"),
        (
            ["serve", "checkpoint", "--engine", "ray", "--ray-address", "10.0.0.1:6379"],
            "both checkpoint and --ray-address are given",
        ),
    ],
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == EXIT_USAGE
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
