"""Prints constraints for `make lowest`: the lowest version that pyproject.toml allows of each
dependency, and the versions of constraints.txt for the test tools."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?>=([\w.]+)")

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
lowest = dict(m.groups() for m in map(_REQUIREMENT.match, project["dependencies"]) if m)
assert len(lowest) == len(project["dependencies"]), "a dependency without a lower bound"
pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.M))
tools = [m[1] for m in map(_REQUIREMENT.match, project["optional-dependencies"]["test"]) if m]
for name, version in {**{tool: pins[tool] for tool in tools}, **lowest}.items():
    print(f"{name}=={version}")
