"""daguerre without extras: no other package of the test environment can be imported."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROBE = """
import json, sys
from importlib.machinery import PathFinder
missing = set(json.loads(sys.argv.pop(1)))
class BaseFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = BaseFinder
from daguerre.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def base_distributions() -> set[str]:
    """daguerre and what it requires without an extra."""
    found: set[str] = set()
    open_names = ["daguerre"]
    while open_names:
        name = canonicalize_name(open_names.pop())
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, importlib.metadata.requires(name) or ())
        open_names += [
            each.name
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def other_packages() -> list[str]:
    base = base_distributions()
    return [
        package
        for package, owners in importlib.metadata.packages_distributions().items()
        if base.isdisjoint(map(canonicalize_name, owners)) and package != "pip"
    ]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(other_packages()), *arguments],
        cwd=home,
        env={"DAGUERRE_HOME": str(home / "data"), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_other_packages_are_missing() -> None:
    """Packages of the extras cannot be imported, and those of the base can."""
    missing = other_packages()
    assert {"greenlet", "pytest", "httpx"} <= {*missing}
    assert {"daguerre", "numpy", "openvino", "uvicorn", "tomlkit"}.isdisjoint(missing)


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "a fox", "-o", "x.png"),
        ("info",),
        ("models", "list"),
        ("models", "create", "stable-image-ultra", "--as", "OTHER"),
    ],
)
def test_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    if arguments[0] == "generate":
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_serve_starts(tmp_path: Path) -> None:
    """The server imports all that it needs before it finds the port taken."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert "cannot listen on 127.0.0.1" in done.stderr and "Traceback" not in done.stderr


def test_checkpoint_without_its_extra(tmp_path: Path) -> None:
    """The error of each command that loads a checkpoint names the packages to install."""
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    for command in (("serve", "sd"), ("generate", "--model", "sd", "a fox", "-o", "x.png")):
        done = run(tmp_path, *command)
        assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
        assert "pip install 'daguerre[diffusers]'" in done.stderr
