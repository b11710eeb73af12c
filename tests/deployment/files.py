"""The files of deploy/, and the settings in them, read for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from daguerre import environment
from daguerre.config import Settings, secret_names

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES_VERSION = "1.33"  # whose schemas the objects must meet
SECRETS = {environment.variable_name(name) for name in secret_names()}
# Servers that share a database and a bucket need these.
SECRET_FILES = {"DAGUERRE_DATABASE_URL_FILE", "DAGUERRE_SIGNED_URL_SECRET_FILE"}
# How long the server may take to stop after the deadline of the last request.
_MARGIN_S = 5


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def code_blocks(page: str, language: str) -> list[str]:
    """The code of a language on a page of the guides."""
    text = (ROOT / "docs" / "guides" / page).read_text(encoding="utf-8")
    return [part.partition("```")[0] for part in text.split(f"```{language}\n")[1:]]


def load(variables: Mapping[str, str], folder: Path) -> Settings:
    """The settings of a deployment, whose secrets are files, which are made in `folder`."""
    assert SECRET_FILES <= {*variables} and SECRETS.isdisjoint(variables)
    secret = folder / "secret"
    secret.write_text("0" * 64)
    own = {name: value for name, value in variables.items() if name.startswith("DAGUERRE_")}
    return Settings.load(environ=own | {name: str(secret) for name in own if name in SECRET_FILES})


def longest_shutdown_s(settings: Settings) -> float:
    """How long the server may take to stop without rejecting an accepted request."""
    wait_s = settings.graceful_shutdown_timeout_s or settings.request_timeout_s + _MARGIN_S
    return settings.shutdown_delay_s + wait_s
