"""The files of deploy/ name variables that exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from daguerre import environment
from daguerre.config import Settings
from deployment.files import DEPLOY, ROOT, SECRETS

# Variables of the bucket that obstore reads.
AWS = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
    *("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
}
FILES = [path for path in DEPLOY.rglob("*") if path.is_file() and path.parent.name != "secrets"]


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_exist(path: Path) -> None:
    """Every variable is that of a setting, of a secret's file, or of the bucket."""
    found = re.findall(r"\b(?:DAGUERRE|AWS)_[A-Z0-9_]+\b", path.read_text(encoding="utf-8"))
    known = {environment.variable_name(setting.name) for setting in fields(Settings)}
    known |= {f"{name}_FILE" for name in SECRETS}
    assert {*found} - known - AWS == set()
