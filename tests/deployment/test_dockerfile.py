"""deploy/Dockerfile, read without building it; test_container.py builds it."""

from __future__ import annotations

import re
import tomllib

import pytest

from deployment.files import DEPLOY, ROOT

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
# Name -> instructions of each stage.
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_default_target() -> None:
    """The last stage, which is built by default, has no PyTorch."""
    assert list(STAGES)[-2:] == ["cuda", "server"]
    assert "--from=build-server" in STAGES["server"] and "--from=build-cuda" in STAGES["cuda"]


@pytest.mark.parametrize("stage", STAGES)
def test_arguments(stage: str) -> None:
    """A stage declares the arguments that it uses, because not every builder inherits them."""
    arguments = {*re.findall(r"^ARG ([A-Z]+)", TEXT.partition("\nFROM ")[0], re.MULTILINE)}
    used = arguments & {*re.findall(r"\$\{?([A-Z]+)\b", STAGES[stage])}
    assert used == {*re.findall(r"^ARG ([A-Z]+)$", STAGES[stage], re.MULTILINE)}


def test_extras() -> None:
    """The installed extras exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    default = re.search(r"^ARG EXTRAS=(\S+)$", TEXT, re.MULTILINE)
    added = re.search(r"\[\$EXTRAS,([\w,]+)\]", STAGES["build-cuda"])
    assert default and added
    names = [*default.group(1).split(","), *added.group(1).split(",")]
    assert {*names} <= {*project["optional-dependencies"]}


def test_context() -> None:
    """What the Dockerfile copies exists, and .dockerignore lets it pass."""
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert copied and all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored and {f"!{name}" for name in copied} <= {*ignored}
