"""What `import daguerre`, `--help` and the bundled model import, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S

import daguerre

PACKAGE = Path(daguerre.__file__).parent
HEAVY = {
    *(
        "asyncio",
        "numpy",
        "openvino",
        "PIL",
        "platformdirs",
        "ray",
        "pydantic",
        "sqlalchemy",
        "zlib_ng",
    ),
    *("diffusers", "starlette", "thorvg_python", "tokenizers", "torch", "transformers", "uvicorn"),
    *("c2pa", "cryptography", "opentelemetry"),
}

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
    """Importing the package and printing help load no heavy library and write no file."""
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
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert (found["status"], found["written"]) == (0, [])
    assert HEAVY & set(found["loaded"]) == set()
    assert list(tmp_path.iterdir()) == []


def test_bundled_model_needs_no_checkpoint_module(tmp_path: Path) -> None:
    """The server and its workers start with the bundled model alone without those modules."""
    code = """
import sys
from daguerre import factory, model_factory
from daguerre.config import Settings
settings = Settings()
catalog = factory.read_catalog(settings)
catalog.check_loadable()
assert model_factory.build_servable_models(settings, catalog)
assert factory.summarize_catalog(settings)
print(*(name for name in sys.modules if name.startswith("daguerre.models.diffusers")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent), "DAGUERRE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.split() == []
