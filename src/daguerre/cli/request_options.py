"""Command-line options derived from the fields of a request.

Name, help, constraint and default come from `daguerre.protocol.request`. `parse_request` validates
the values, so the command line and the HTTP API report the same errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import click

# Defaults that the command resolves itself.
_DEFAULTS = {"model": "the first model of the catalog", "output_format": "the suffix of FILE"}
_NUMBERS: dict[str, type] = {"integer": int, "number": float}


class RequestCommand(click.Command):
    """A command with request options after its own option `--sheet`.

    The options are created when the command runs or prints its help, because the request schema
    imports pydantic.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        position = [parameter.name for parameter in own].index("sheet") + 1
        return [*own[:position], *self._request_options, *own[position:]]

    @cached_property
    def _request_options(self) -> list[click.Option]:
        from daguerre.protocol.parsing import field_schemas
        from daguerre.protocol.request import HTTP_ONLY

        schemas = field_schemas().items()
        return [
            request_option(name, schema)
            for name, schema in schemas
            if name != "prompt" and name not in HTTP_ONLY
        ]


def request_option(name: str, schema: Mapping[str, Any]) -> click.Option:
    """The option of one field; its value stays text if it is not of the field's type."""
    from daguerre.protocol.parsing import describe_constraint

    default = _DEFAULTS.get(name, schema.get("default"))
    facts = describe_constraint(schema) + (f"; default {default}" if default else "")
    help = f"{schema['description'].replace('`', '')}  [{facts}]"
    flag = "--" + name.replace("_", "-")
    if schema["type"] == "boolean":
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=help)
    number = _NUMBERS.get(schema["type"])

    def parse(context: click.Context, option: click.Parameter, text: str | None) -> object:
        try:
            return number(text) if number and text is not None else text
        except ValueError:
            return text

    metavar = "NUMBER" if number else "TEXT"
    return click.Option([flag, name], type=str, callback=parse, metavar=metavar, help=help)
