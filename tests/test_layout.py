"""Who may import whom, and what costs nothing: read from the source and from a fresh process."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import daguerre

PACKAGE = Path(daguerre.__file__).parent
ROOT = PACKAGE.parent.parent
# Lower layers first: a module imports from its own layer and from those before it.
LAYERS = (
    *("errors", "validation", "cpu", "params", "config", "imagefile", "storage", "protocol"),
    *("engine", "models", "server", "factory", "cli", "__main__"),
)
WIRE = {"base64", "http", "pydantic", "pydantic_core", "sqlalchemy", "starlette", "uvicorn"}
HEAVY = {
    *("asyncio", "numpy", "openvino", "PIL", "platformdirs", "pydantic", "sqlalchemy", "zlib_ng"),
    *("diffusers", "starlette", "thorvg_python", "tokenizers", "torch", "transformers", "uvicorn"),
}


def modules() -> dict[str, Path]:
    """Name -> file of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("daguerre", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """What a module imports, at its top or anywhere inside, by full name."""
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
    return name.split(".")[1]


def own_imports(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    return {other for other in imports(name) if other.startswith("daguerre.")} - {name}


def of_layer(*layers: str) -> list[str]:
    found = [name for name in MODULES if name != "daguerre" and layer(name) in layers]
    assert found, f"no module in {layers}"
    return found


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"daguerre"}))
def test_imports_go_down(name: str) -> None:
    """A module imports nothing of a higher layer."""
    above = LAYERS[LAYERS.index(layer(name)) + 1 :]
    assert {other for other in own_imports(name) if layer(other) in above} == set()


def test_no_import_cycle() -> None:
    """The modules can be sorted so that each imports only earlier ones."""
    graph = {name: own_imports(name) for name in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", of_layer("engine", "models"))
def test_engine_knows_no_wire(name: str) -> None:
    """Nothing in the engine or the models knows HTTP, the wire format, keys or base64."""
    known = {other.split(".")[0] for other in imports(name)}
    assert known & WIRE == set()
    keys = {"daguerre.storage.api_keys", "daguerre.storage.database", "daguerre.cli.credentials"}
    assert set(imports(name)) & keys == set()

    """The server knows hashes of keys, never the file that holds the keys."""
    assert set(imports(name)) & {"daguerre.cli.credentials", "daguerre.cli.provisioning"} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_says_what_it_holds(name: str) -> None:
    """Every module with code has a docstring, and no module is a drawer for everything."""
    path = MODULES[name]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "core"}


PROBE = """
import json, os, sys
written = []
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.link", "os.symlink"}
def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        written.append(str(arguments[0]))
    elif event in CHANGES:
        written.append(f"{event} {arguments[0]}")
sys.addaudithook(watch)
status = 0
%s
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"status": status, "loaded": loaded, "written": written}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "code",
    [
        "import daguerre",
        "from daguerre.cli.main import main; status = main(['--help'])",
        "from daguerre.cli.main import main; status = main(['serve', '--help'])",
        "from daguerre.cli.main import main; status = main(['--version'])",
        "from daguerre.cli.main import main; status = main([])",
    ],
)
def test_costs_nothing(code: str, tmp_path: Path) -> None:
    """Importing the package and asking for help load nothing heavy and write no file."""
    environ = {
        "PYTHONPATH": str(PACKAGE.parent),
        "HOME": str(tmp_path),
        "DAGUERRE_HOME": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE % code],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert (found["status"], found["written"]) == (0, [])
    assert HEAVY & set(found["loaded"]) == set()
    assert list(tmp_path.iterdir()) == []


def test_version_is_stated_once_more() -> None:
    """The version of the package is the one that its metadata gives."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert daguerre.__version__ == project["version"]


def test_every_dependency_is_pinned() -> None:
    """Whatever `make` installs by name has one exact version in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(len(pin.split("==")) == 2 for pin in pins), pins
    pinned = {pin.split("==")[0] for pin in pins}
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    assert names - pinned == set()
