"""The layers of the package, read from its source: which module may import which."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import daguerre

PACKAGE = Path(daguerre.__file__).parent
ROOT = PACKAGE.parent.parent
# Lower layers first: a module imports from its own layer and from those before it.
LAYERS = (
    *(
        "version",
        "errors",
        "validation",
        "cpu",
        "memory",
        "runtime_variables",
        "params",
        "environment",
        "setting_sources",
        "settings_table",
        "config",
        "imagefile",
        "storage",
        "protocol",
    ),
    *(
        "engine",
        "models",
        "server",
        "model_factory",
        "factory",
        "ray_factory",
        "library",
        "__init__",
        "cli",
        "__main__",
    ),
)
WIRE = {"base64", "http", "pydantic", "pydantic_core", "sqlalchemy", "starlette", "uvicorn"}


def modules() -> dict[str, Path]:
    """Name -> file of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("daguerre", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """Full names of all imports of a module, at its top and inside functions."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{name} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def layer(name: str) -> str:
    """The package or module below `daguerre` that holds `name`."""
    return name.split(".")[1] if "." in name else "__init__"


def own_imports(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    return {other for other in imports(name) if other.split(".")[0] == "daguerre"} - {name}


def of_layer(*layers: str) -> list[str]:
    found = [name for name in MODULES if layer(name) in layers]
    assert found, f"no module in {layers}"
    return found


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name: str) -> None:
    """A module imports only from its own layer and lower ones."""
    above = LAYERS[LAYERS.index(layer(name)) + 1 :]
    assert {other for other in own_imports(name) if layer(other) in above} == set()


def test_no_import_cycle() -> None:
    """The modules can be sorted so that each imports only earlier ones."""
    graph = {name: own_imports(name) for name in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def test_no_cycle_of_server_packages() -> None:
    """The packages of the server can be sorted, too."""
    graph: dict[str, set[str]] = {}
    for name in of_layer("server"):
        package = name.rsplit(".", 1)[0]
        used = {other.rsplit(".", 1)[0] for other in own_imports(name) if layer(other) == "server"}
        graph.setdefault(package, set()).update(used - {package})
    graphlib.TopologicalSorter(graph).prepare()


def test_settings_end_at_the_top() -> None:
    """Only the outer modules take the whole `Settings`; all others take what they need."""
    users = {name for name in MODULES if "daguerre.config" in own_imports(name)}
    outer = {
        "daguerre.factory",
        "daguerre.library",
        "daguerre.model_factory",
        "daguerre.ray_factory",
        "daguerre.server.app",
        "daguerre.server.server",
    }
    assert {name for name in users if layer(name) != "cli"} == outer


@pytest.mark.parametrize("name", of_layer("engine", "models"))
def test_engine_is_independent_of_http(name: str) -> None:
    """The engine and the models import no HTTP, request schema, database, key or base64 module."""
    known = {other.split(".")[0] for other in imports(name)}
    assert known & WIRE == set()
    keys = {"daguerre.storage.resources", "daguerre.storage.database", "daguerre.cli.credentials"}
    assert set(imports(name)) & keys == set()


@pytest.mark.parametrize("name", of_layer("models"))
def test_models_import_only_the_engine_interface(name: str) -> None:
    """A model imports from the engine only its own interface and the array functions."""
    used = {other.removeprefix("daguerre.engine.") for other in own_imports(name)}
    used = {other for other in used if not other.startswith("daguerre.")}
    assert used <= {"forward", "pipeline", "batching.arrays"}


@pytest.mark.parametrize("library", ["openvino", "nncf"])
@pytest.mark.parametrize("folder", ["src", "training", "bench", "tests", "docs"])
def test_openvino_is_imported_in_one_place(library: str, folder: str) -> None:
    """Everything else imports it from `daguerre.models`, which switches telemetry off."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*.py")
        if ".venv" not in path.parts  # that of the training recipe
        and re.search(
            rf"^ *(import|from) {library}\b", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert found <= {f"src/daguerre/models/{library}.py"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_has_a_docstring_and_a_specific_name(name: str) -> None:
    """Every module with code has a docstring, and none is named `utils` or the like."""
    path = MODULES[name]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "core"}


def test_version_is_the_same_everywhere() -> None:
    """`daguerre.__version__` equals the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert daguerre.__version__ == project["version"]


def test_every_dependency_is_pinned() -> None:
    """Every dependency in pyproject.toml has one exact version in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(len(pin.split("==")) == 2 for pin in pins), pins
    pinned = {pin.split("==")[0] for pin in pins}
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    assert names - pinned == set()
