"""The documentation matches the code: generated pages, links, versions and targets."""

from __future__ import annotations

import importlib.util
import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import click
import pytest

from daguerre import __version__
from daguerre.cli import credentials
from daguerre.cli.main import program
from daguerre.engine.batching import certificates
from daguerre.models import catalog
from daguerre.models.diffusers import hub
from daguerre.server import control_socket
from daguerre.server.routes import signed_urls
from daguerre.storage import artifact_cache, database, file_digests, image_store

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "training/*.md")
    for page in ROOT.glob(pattern)
)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_current(reference: ModuleType) -> None:
    """The reference pages equal the ones that the code generates."""
    assert reference.stale() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_are_valid(page: Path) -> None:
    """Every relative link names a file that exists, and a heading of it if it has a fragment."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text)
    targets = [(page.parent / path if path else page, fragment) for path, fragment in links]
    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [f"{t}#{f}" for t, f in targets if f and t.suffix == ".md" and f not in anchors(t)] == []


def anchors(page: Path) -> set[str]:
    """Fragments of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_changelog_has_the_version() -> None:
    """The changelog has a heading for the version of the package."""
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_storage_table_matches_the_code() -> None:
    """ARCHITECTURE.md lists the files and directories of the data directory."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("## Storage\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\|[^|]+\|[^|`]*`([^`]+?)/?`", table, re.MULTILINE) == [
        *(database.FILE_NAME, image_store.DIR_NAME, signed_urls.SECRET_FILE),
        *(credentials.FILE_NAME, certificates.FILE_NAME, file_digests.FILE_NAME),
        *(artifact_cache.DIR_NAME, hub.DIR_NAME, catalog.FILE_NAME, control_socket.FILE_NAME),
    ]


def test_table_has_the_modules_of_the_bundled_model() -> None:
    """ARCHITECTURE.md names each module of `models/embedded`, and no others."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = text.partition("| modules of `models/embedded/` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([^`]+)`", rows)) - {"drawing/"}
    folder = ROOT / "src" / "daguerre" / "models" / "embedded"
    modules = {path.stem for path in folder.rglob("*.py")} - {"__init__"}
    listed = {m: [name for name in named if fnmatchcase(m, name)] for m in modules}
    assert [m for m, names in listed.items() if not names] == []
    assert named.difference(*listed.values()) == set()


def test_make_targets_in_the_docs_exist() -> None:
    """Every `make x` on a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert named and named <= targets


def shell_lines(page: Path) -> list[str]:
    """Commands of the console blocks of a page, without the line continuations' breaks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]


COMMANDS = sorted(
    {
        line
        for page in PAGES
        for line in shell_lines(page)
        if line.startswith("daguerre ") and not line.startswith("daguerre listens on")
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_in_the_docs_parse(line: str) -> None:
    """Every `daguerre` command in a console block has existing subcommands and valid options."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = program
    context = click.Context(program)
    while isinstance(command, click.Group):
        _, child, words = command.resolve_command(context, words)
        assert child is not None
        command, context = child, click.Context(child, parent=context)
    command.make_context(command.name, words, parent=context.parent)
