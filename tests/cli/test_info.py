"""`daguerre info`: versions, models and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

import daguerre.factory
from daguerre.cli import main


def test_info(run: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows versions, and settings with their sources, no secret, and creates no file."""
    monkeypatch.setenv("DAGUERRE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    shown = json.loads(run("info", "--json", "--port", "4711"))
    assert shown["daguerre"] == daguerre.__version__ and shown["openvino"][:2] == "20"
    assert shown["data_directory"] == str(home)
    assert {"weights_sha256", "description", "dtype"} <= set(shown["models"][MODEL])
    settings = shown["settings"]
    assert settings["port"] == {"value": 4711, "source": "flag"}
    assert settings["database_url"] == {"value": "***", "source": "variable"}
    assert settings["workers"] == {"value": 1, "source": "default"}
    printed = run("info")
    assert "hunter2" not in printed and re.search(r"\n  catalog +unset +default\n", printed)
    assert not home.exists()


@pytest.mark.parametrize(
    ("flag", "value", "is_secret"),
    [
        ("signed-url-secret", "s" * 40, True),
        ("database-url", "postgresql://user:hunter2@host/name", True),
        ("database-url", "postgresql://host/name?password=hunter2", True),
        ("database-url", "postgresql://host/name", False),
        ("database-url", "sqlite:////folder/file.db", False),
    ],
)
def test_secret_in_a_flag(
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: str,
    is_secret: bool,
) -> None:
    """A secret in a flag causes a warning, which does not repeat it."""
    assert main.main(["info", f"--{flag}", value]) == 0
    printed = capsys.readouterr()
    assert ("list of processes" in printed.err) == is_secret
    assert "hunter2" not in printed.err + printed.out and "sss" not in printed.err + printed.out


def test_source_of_the_port_of_a_platform(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PORT is a variable as any other."""
    monkeypatch.setenv("PORT", "4712")
    shown = json.loads(run("info", "--json"))
    assert shown["settings"]["port"] == {"value": 4712, "source": "variable"}


def test_source_of_a_secret_in_a_file(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of a secret in a file is the flag or the variable that names the file."""
    (tmp_path / "secret").write_text("s" * 40)
    shown = json.loads(run("info", "--json", "--signed-url-secret-file", "secret"))
    assert shown["settings"]["signed_url_secret"] == {"value": "***", "source": "flag"}
    monkeypatch.setenv("DAGUERRE_SIGNED_URL_SECRET_FILE", "secret")
    shown = json.loads(run("info", "--json"))
    assert shown["settings"]["signed_url_secret"] == {"value": "***", "source": "variable"}
