"""The table of models: their form, size, device and memory, before they are loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from daguerre.cli.table import print_table

if TYPE_CHECKING:
    from daguerre.models.summary import ModelSummary

logger = logging.getLogger(__name__)

_NOT_SERVED = "not served; run: daguerre models reload"
_MIN_GB_BYTES = 100_000_000
_HEADER = ("MODEL", "FAMILY", "FORM", "DISK", "DTYPE", "DEVICE", "MEMORY", "FREE")


def print_models(
    summaries: Sequence[ModelSummary],
    states: Mapping[str, str] | None = None,
    *,
    indent: str = "",
    err: bool = False,
) -> None:
    """Prints a table, and a line for each model that cannot be served or does not fit.

    `states` are those in a running server.
    """
    table = [_HEADER, *map(_row, summaries)]
    if states is not None:
        column = ["STATE", *(states.get(each.info.id, _NOT_SERVED) for each in summaries)]
        table = [(*row, state) for row, state in zip(table, column, strict=True)]
    print_table([(indent + first, *rest) for first, *rest in table], err=err)
    print_table([(indent + line,) for line in _problems(summaries)], err=err)


def log_models(summaries: Iterable[ModelSummary]) -> None:
    """The same as lines of the log."""
    for each in summaries:
        cells = (f"{name.lower()}={cell}" for name, cell in zip(_HEADER, _row(each), strict=True))
        logger.info("%s", ", ".join(cells))
    for line in _problems(summaries):
        logger.warning("%s", line)


def _row(summary: ModelSummary) -> tuple[str, ...]:
    sizes = map(_size, (summary.num_bytes, summary.needed_bytes, summary.free_bytes))
    disk, needed, free = sizes
    cells = (summary.family, summary.form, disk, summary.dtype, summary.device, needed, free)
    return (summary.info.id, *(cell or "-" for cell in cells))


def _size(num_bytes: int | None) -> str:
    if num_bytes and num_bytes < _MIN_GB_BYTES:
        return f"{num_bytes / 1e6:.1f} MB"
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes else ""


def _problems(summaries: Iterable[ModelSummary]) -> Iterator[str]:
    """A line for each model that cannot be served, or does not fit into memory."""
    for each in summaries:
        if text := each.fault or each.shortage:
            yield f"{each.info.id}: {text}"
