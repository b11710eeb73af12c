"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    first, *rest = lines
    return "\n".join((first, "|---" * len(head) + "|", *rest))
