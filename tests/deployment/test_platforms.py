"""The files that platforms read: Procfile, app.json, requirements.txt and .python-version."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import fields
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from daguerre import environment
from daguerre.cli.main import program
from daguerre.cli.serve import serve
from daguerre.config import Settings
from deployment.files import ROOT, code_blocks, longest_shutdown_s

HEROKU_S = 30  # from SIGTERM to SIGKILL, and to the first byte of a response
APP = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))


def served(environ: dict[str, str]) -> Settings:
    """The settings with which the Procfile's command serves."""
    process, command = (ROOT / "Procfile").read_text(encoding="utf-8").split(": ", 1)
    words = shlex.split(command)
    assert (process, words[:2]) == ("web", ["daguerre", "serve"])
    context = serve.make_context(
        "serve", words[2:], parent=program.make_context("daguerre", ["serve"])
    )
    assert not context.params.pop("checkpoints")
    return Settings.load(context.params, environ)


def test_procfile() -> None:
    """The server listens on all addresses, on the platform's port, and logs no key."""
    settings = served({"PORT": "5006", "DAGUERRE_DATABASE_URL": "postgres://a:b@c/d"})
    assert (settings.host, settings.port, settings.log_format) == ("0.0.0.0", 5006, "json")
    assert settings.database_url == "postgres://a:b@c/d"
    assert settings.max_connections_per_ip == 0  # all are the router's
    assert longest_shutdown_s(settings) < HEROKU_S


def test_database_variable() -> None:
    """The attachment's name gives the variable that the server reads: <name>_URL."""
    addon = next(each for each in APP["addons"] if each["plan"].startswith("heroku-postgresql"))
    assert f"{addon['as']}_URL" == "DAGUERRE_DATABASE_URL"


def test_python_version() -> None:
    """The Python that the platform installs is one that daguerre supports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")


def test_requirements() -> None:
    """The platform installs the pinned versions and the driver of its database."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ["--constraint constraints.txt", ".[postgresql]"]


def test_fly() -> None:
    """The example for Fly builds the Dockerfile, and its port is the server's."""
    (text,) = code_blocks("platforms.md", "toml")
    fly: dict[str, Any] = tomllib.loads(text)
    assert (ROOT / fly["build"]["dockerfile"]).is_file()
    settings = Settings.load(environ=fly["env"])
    assert fly["http_service"]["internal_port"] == settings.port
    assert fly["kill_timeout"] > longest_shutdown_s(settings) and fly["kill_signal"] == "SIGTERM"


def test_render() -> None:
    """The example for Render builds the Dockerfile, and its variables are settings."""
    (text,) = code_blocks("platforms.md", "yaml")
    blueprint = yaml.safe_load(text)
    (service,) = blueprint["services"]
    assert (ROOT / service["dockerfilePath"]).is_file()
    values = {each["key"]: each.get("value", "") for each in service["envVars"]}
    settings = Settings.load(environ={name: str(value) for name, value in values.items()})
    assert service["maxShutdownDelaySeconds"] > longest_shutdown_s(settings)
    databases = [each["name"] for each in blueprint["databases"]]
    sources = [
        each["fromDatabase"]["name"] for each in service["envVars"] if "fromDatabase" in each
    ]
    assert sources == databases


@pytest.mark.parametrize("name", APP["env"])
def test_variables(name: str) -> None:
    """Each variable of app.json is a setting or the bucket's, and is described."""
    settings = {environment.variable_name(setting.name) for setting in fields(Settings)}
    assert name in settings or name.startswith("AWS_")
    assert APP["env"][name]["description"].endswith(".")
