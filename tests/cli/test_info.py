"""`daguerre info`: what runs here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

import daguerre.factory


def test_info(run: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs here is shown with versions and settings, without secrets and without a trace."""
    monkeypatch.setenv("DAGUERRE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    facts = json.loads(run("info", "--json", "--port", "4711"))
    assert facts["daguerre"] == daguerre.__version__ and facts["openvino"][:2] == "20"
    assert facts["data folder"] == str(home) and MODEL in facts["models"]
    assert facts["settings"]["port"] == 4711 and facts["settings"]["database_url"] == "***"
    assert "hunter2" not in run("info")
    assert not home.exists()
