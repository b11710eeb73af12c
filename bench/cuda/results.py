"""Results of the parts: one JSON line for each row, and Markdown tables of all rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from bench.table import table

Row: TypeAlias = Mapping[str, Any]


class Results:
    """Appends rows of one part to a file that several processes may read."""

    def __init__(self, file: Path, part: str) -> None:
        self.file, self._part = file, part

    def add(self, name: str, /, **columns: Any) -> None:
        """Adds a row to the table `name`. Columns have underscores in place of spaces."""
        line = json.dumps({"part": self._part, "table": name, **columns})
        with self.file.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def read(file: Path) -> list[Row]:
    """All rows, without a line whose process was stopped while it wrote."""
    lines = file.read_text().splitlines() if file.exists() else []
    return list(_rows(lines))


def _rows(lines: list[str]) -> Iterator[Row]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def markdown(rows: list[Row]) -> str:
    """One table for each name, in the order of their first rows."""
    tables: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        columns = {key: value for key, value in row.items() if key not in ("part", "table")}
        tables.setdefault((row["part"], row["table"]), []).append(columns)
    return "\n".join(
        f"## {part}: {name}\n\n{_table(columns)}\n" for (part, name), columns in tables.items()
    )


def _table(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = [name.replace("_", " ") for name in names]
    return table(head, ([_cell(row.get(name, "")) for name in names] for row in rows))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
