"""`daguerre info`: versions, models and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

import daguerre.factory


def test_info(run: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows versions, and settings with their sources, no secret, and creates no file."""
    monkeypatch.setenv("DAGUERRE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    shown = json.loads(run("info", "--json", "--port", "4711"))
    assert shown["daguerre"] == daguerre.__version__ and shown["openvino"][:2] == "20"
    assert shown["data_directory"] == str(home)
    assert set(shown["models"][MODEL]) == {"weights_sha256", "description"}
    settings = shown["settings"]
    assert settings["port"] == {"value": 4711, "source": "flag"}
    assert settings["database_url"] == {"value": "***", "source": "variable"}
    assert settings["workers"] == {"value": 1, "source": "default"}
    printed = run("info")
    assert "hunter2" not in printed and re.search(r"\n  catalog +unset +default\n", printed)
    assert not home.exists()
