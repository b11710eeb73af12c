"""`daguerre info`: versions, models and settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

import daguerre.factory


def test_info(run: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows versions and settings, no secret, and creates no file."""
    monkeypatch.setenv("DAGUERRE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    shown = json.loads(run("info", "--json", "--port", "4711"))
    assert shown["daguerre"] == daguerre.__version__ and shown["openvino"][:2] == "20"
    assert shown["data directory"] == str(home) and MODEL in shown["models"]
    assert shown["settings"]["port"] == 4711 and shown["settings"]["database_url"] == "***"
    assert "hunter2" not in run("info")
    assert not home.exists()
