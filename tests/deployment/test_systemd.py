"""deploy/daguerre.service, checked by systemd-analyze."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployment.files import DEPLOY, load, longest_shutdown_s

UNIT = DEPLOY / "daguerre.service"
# Name and value of each option, with those that are commented out.
OPTIONS = re.findall(r"^#?([A-Z]\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
# Of 10; above 2.0 a service has privileges that it does not use.
MAX_EXPOSURE = 2.0


def version() -> int:
    """Of systemd; 0 if it is not installed."""
    if shutil.which("systemd-analyze") is None:
        return 0
    done = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True)
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found.group(1)) if found else 0


needs_systemd = pytest.mark.skipif(version() < 250, reason="systemd 250 is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists."""
    text = UNIT.read_text(encoding="utf-8")
    assert "/opt/daguerre/bin/daguerre serve\n" in text
    copied = tmp_path / "daguerre.service"
    copied.write_text(text.replace("/opt/daguerre/bin/daguerre", sys.executable))
    return copied


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@needs_systemd
@pytest.mark.parametrize("has_secrets", [False, True])
def test_unit_is_valid(unit: Path, has_secrets: bool) -> None:
    """systemd accepts the unit, also with the lines for secrets."""
    if has_secrets:
        unit.write_text(re.sub(r"^#(?=[A-Z]\w+=)", "", unit.read_text(), flags=re.MULTILINE))
        assert "\nLoadCredential=" in unit.read_text()
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_unit_is_hardened(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={int(MAX_EXPOSURE * 10)}", unit)
    assert done.returncode == 0, done.stdout


def test_settings(tmp_path: Path) -> None:
    """The server accepts its variables, gets secrets as credentials, and has the time to stop."""
    assigned = [value for name, value in OPTIONS if name == "Environment"]
    variables = dict(each.split("=", 1) for value in assigned for each in value.split())
    settings = load(variables, tmp_path)
    assert int(dict(OPTIONS)["TimeoutStopSec"]) > longest_shutdown_s(settings)
    loaded = {value.split(":")[0] for name, value in OPTIONS if name == "LoadCredential"}
    files = {value for name, value in variables.items() if name.endswith("_FILE")}
    assert files == {f"%d/{name}" for name in loaded}
