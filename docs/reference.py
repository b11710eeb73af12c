"""Writes docs/reference/*.md from the code that enforces what they say.

    python docs/reference.py           write the pages
    python docs/reference.py --check   fail where a page is not what would be written

Settings come from `daguerre.config`, fields from the wire model, errors from the tree of
exceptions, commands from click. Nothing here is written by hand but headings and order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click

from daguerre import errors
from daguerre.cli.main import program
from daguerre.config import Settings, environment_variable
from daguerre.errors import DaguerreError
from daguerre.protocol.parsing import describe_constraint, field_schemas

FOLDER = Path(__file__).parent / "reference"
_MADE = "<!-- Made by `python docs/reference.py`; edit the code instead. -->\n\n"


def settings_page() -> str:
    rows = (
        f"| `{s.name}` | `{'' if s.default is None else s.default}` | {s.metadata['help']} |"
        f" {s.metadata['validator'].allowed} | `{environment_variable(s.name)}` |"
        for s in fields(Settings)
    )
    return _page(
        "Settings",
        "A value comes from the flag of `daguerre serve` (`--max-queued-jobs`), else from the"
        " environment, else from the default.",
        _table(("name", "default", "meaning", "allowed", "environment"), rows),
    )


def fields_page() -> str:
    rows = (
        f"| `{name}` | {describe_constraint(schema)} | {_default(schema)} |"
        f" {schema['description']} |"
        for name, schema in field_schemas().items()
    )
    return _page(
        "Fields of POST /v1/images/generations",
        "The body is a JSON object in UTF-8, whatever its Content-Type. `null` means not given."
        " Any other name is refused, unless `allow_ignored_params` is true.",
        _table(("field", "must be", "default", "meaning"), rows),
    )


def _default(schema: dict[str, object]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def errors_page() -> str:
    rows = (
        f"| {kind.status} | `{kind.type}` | `{kind.__name__}` |"
        for kind in sorted(_kinds(DaguerreError), key=lambda k: (k.status, k.__name__))
    )
    body = '{"error": {"code": 400, "message": "...", "type": "...", "param": "size"}}'
    return _page(
        "Errors",
        f"Every error, on every path, has this body; `param` may be null:\n\n```json\n{body}\n```",
        _table(("status", "type", "exception"), rows),
    )


def _kinds(kind: type[DaguerreError]) -> Iterator[type[DaguerreError]]:
    for child in kind.__subclasses__():
        if child is not errors.SettingsError and child.__module__ == errors.__name__:
            yield child
            yield from _kinds(child)


def commands_page() -> str:
    parts = []
    for path, command in _commands(program, ("daguerre",)):
        name = " ".join(path)
        context = click.Context(
            command, info_name=name, terminal_width=88, **program.context_settings
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return _page("Commands", "What `--help` prints.", "\n".join(parts))


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, (*path, name))


def _page(title: str, text: str, content: str) -> str:
    return f"{_MADE}# {title}\n\n{text}\n\n{content}".rstrip() + "\n"


def _table(head: tuple[str, ...], rows: Iterator[str]) -> str:
    return "\n".join((f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows))


PAGES = {
    "settings.md": settings_page,
    "fields.md": fields_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
}


def stale() -> list[str]:
    """Pages that are not what would be written now."""
    return [
        name
        for name, page in PAGES.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    if "--check" in sys.argv[1:]:
        if pages := stale():
            sys.exit(f"not up to date: {', '.join(pages)}; run: python docs/reference.py")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
