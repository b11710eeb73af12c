"""The bounds of the dependencies in pyproject.toml."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from test_layout import MODULES, ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("diffusers", "quantization", "gguf", "c2pa", "otel", "postgresql", "ray")
REQUIREMENTS = {
    requirement.name: requirement
    for requirement in map(
        Requirement,
        (
            *PROJECT["dependencies"],
            *(text for extra in EXTRAS for text in PROJECT["optional-dependencies"][extra]),
        ),
    )
}
# The first versions without a known vulnerability, and one that they fix.
FIRST_FIXED = {
    "click": ("8.3.3", "CVE-2026-7246"),
    "diffusers": ("0.38.0", "CVE-2026-44513"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "pillow": ("13.0.0", "CVE-2026-40192, CVE-2026-42309 and later ones"),
    "protobuf": ("6.33.5", "CVE-2026-0994"),
    "psycopg": ("3.3.9", "CVE-2026-6477 in the bundled libpq"),
    "pydantic": ("2.4.0", "CVE-2024-3772"),
    "ray": ("2.52.0", "CVE-2025-62593"),
    "sentencepiece": ("0.2.1", "CVE-2026-1260"),
    "starlette": ("1.3.1", "CVE-2026-48710, and limits of forms that were not enforced"),
    "torch": ("2.13.0", "CVE-2025-3000, CVE-2026-4538"),
    "transformers": ("5.5.0", "CVE-2026-4372, CVE-2026-5241"),
}


NAMES_IN_NOTICE = {"torch": "PyTorch"}


def bound(name: str, operator: str) -> Version | None:
    """The version after the operator in the requirement, if there is one."""
    versions = [s.version for s in REQUIREMENTS[name].specifier if s.operator == operator]
    return Version(versions[0]) if versions else None


@pytest.mark.parametrize("name", sorted(REQUIREMENTS))
def test_lower_bound(name: str) -> None:
    """Every dependency has a lower bound, and none has a known vulnerability."""
    lowest = bound(name, ">=")
    assert lowest is not None
    version, fault = FIRST_FIXED.get(name, ("0", ""))
    assert lowest >= Version(version), fault


def test_vulnerabilities_are_of_dependencies() -> None:
    """The table names no package that is no longer a dependency."""
    assert set(FIRST_FIXED) <= set(REQUIREMENTS)


def test_private_parts_need_an_upper_bound() -> None:
    """A library has an upper bound if its private modules or attributes are used."""
    used = {library for name in MODULES for library in private_uses(name)}
    assert "torch" in used
    assert {name for name in used & set(REQUIREMENTS) if bound(name, "<") is None} == set()


def test_notice_names_dependencies() -> None:
    """NOTICE names every dependency of the server and its extras, with a licence."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8").lower()
    names = {NAMES_IN_NOTICE.get(name, name).lower() for name in REQUIREMENTS}
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", notice)} == set()


def private_uses(name: str) -> Iterator[str]:
    """Libraries whose private parts, such as `torch._dynamo`, the module names."""
    for full in imports(name):
        library, *rest = full.split(".")
        if any(is_private(part) for part in rest):
            yield library
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield ast.unparse(node).split(".")[0]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")
