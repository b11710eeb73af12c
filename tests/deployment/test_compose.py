"""deploy/compose.yaml and the secrets that deploy/secrets.sh makes for it."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema

from daguerre import __version__
from deployment.files import DEPLOY, ROOT, load, longest_shutdown_s, read_yaml

COMPOSE = read_yaml(DEPLOY / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_schema() -> None:
    """The file is valid by the schema of the Compose Specification."""
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"daguerre": {"imagee": "x"}}}, schema)


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_versions(name: str) -> None:
    """No image is `latest`: a start next year gets the same programs."""
    image, version = SERVICES[name]["image"].split(":")
    assert re.fullmatch(r"v?\d+(\.\d+)*", version)
    assert image != "daguerre" or version == __version__


def test_files_exist() -> None:
    """The files that are mounted or built are there, and what is named is defined."""
    build = SERVICES["daguerre"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == ROOT and (context / build["dockerfile"]).is_file()
    sources = [volume.split(":")[0] for one in SERVICES.values() for volume in one["volumes"]]
    files = [DEPLOY / source for source in sources if source.startswith(".")]
    assert files and [file for file in files if not file.is_file()] == []
    assert {source for source in sources if not source.startswith(".")} == {*COMPOSE["volumes"]}
    secrets = {secret for one in SERVICES.values() for secret in one.get("secrets", ())}
    assert secrets == {*COMPOSE["secrets"]}


def test_settings(tmp_path: Path) -> None:
    """The server accepts its variables, gets secrets as files, and has the time to stop."""
    service = SERVICES["daguerre"]
    settings = load(service["environment"], tmp_path)
    period = re.fullmatch(r"(\d+)s", service["stop_grace_period"])
    assert period and int(period.group(1)) > longest_shutdown_s(settings)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_private(name: str) -> None:
    """A published port is reachable from this machine only."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return Path(shutil.copy(DEPLOY / "secrets.sh", tmp_path))


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (folder / "secrets").iterdir()}


def test_secrets(script: Path, tmp_path: Path) -> None:
    """The script makes every secret that the file names, each random; a second run keeps them."""
    subprocess.run([script], check=True)
    made = contents(tmp_path)
    named = [secret["file"] for secret in COMPOSE["secrets"].values()]
    named += {one["env_file"] for one in SERVICES.values() if "env_file" in one}
    assert {f"secrets/{name}" for name in made} == {*named}
    passwords = {made["postgres_password"], made["signed_url_secret"], made["grafana_password"]}
    assert len(passwords) == 3 and all(re.fullmatch(r"[0-9a-f]{48}", one) for one in passwords)
    url = f"postgresql://daguerre:{made['postgres_password']}@postgres/daguerre"
    assert made["database_url"].strip() == url
    bucket = dict(line.split("=") for line in made["bucket.env"].splitlines())
    assert bucket["AWS_SECRET_ACCESS_KEY"] == bucket["ROOT_SECRET_KEY"]
    assert bucket["AWS_ACCESS_KEY_ID"] == bucket["ROOT_ACCESS_KEY"]
    subprocess.run([script], check=True)
    assert contents(tmp_path) == made


def test_secrets_are_private(script: Path, tmp_path: Path) -> None:
    """Other users of the machine cannot read a secret; the users of the containers can."""
    subprocess.run([script], check=True)
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes.pop("bucket.env") == 0o600  # Compose reads it, not a container
    assert {*modes.values()} == {0o644}
