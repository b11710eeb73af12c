"""Log formatting (console or JSON, one line per record) and throttled log lines.

A record may have `fields` (`extra={"fields": {...}}`); JSON puts them next to time, level and
logger. Messages and tracebacks are truncated to `MAX_RECORD_CHARS`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

MAX_RECORD_CHARS = 16 * 1024
THROTTLE_S = 10.0


class ConsoleFormatter(logging.Formatter):
    """Time, level, logger, number of the worker, and message."""

    def __init__(self) -> None:
        text = "%(asctime)s %(levelname)s %(name)s %(prefix)s%(message)s"
        super().__init__(text, defaults={"prefix": ""})  # the records of workers have one

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)

    def format(self, record: logging.LogRecord) -> str:
        return _truncate(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with a traceback as one of its values."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if (worker := getattr(record, "worker", None)) is not None:
            line["worker"] = worker
        fields = getattr(record, "fields", None)
        line |= fields if isinstance(fields, dict) else {"message": _truncate(record.getMessage())}
        if record.exc_info:
            line["traceback"] = _truncate(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class ThrottledLogger:
    """Logs at most one line in `THROTTLE_S`, with the number of events since the last line.

    `template` starts with %d for that number. Used from the event loop.
    """

    def __init__(
        self,
        logger: logging.Logger,
        template: str,
        level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger, self._template, self._level, self._clock = logger, template, level, clock
        self.num_events = 0  # in total
        self._num_unlogged = 0
        self._values: tuple[object, ...] = ()
        self._next_line_s = float("-inf")

    def log(self, *values: object) -> None:
        """Counts an event; `values` complete the template if the line is due."""
        self.num_events, self._values = self.num_events + 1, values
        self._num_unlogged += 1
        wait_s = self._next_line_s - self._clock()
        if wait_s <= 0:
            self._write()
        elif self._num_unlogged == 1:  # the line is written even if no event follows
            with suppress(RuntimeError):  # no event loop: the next event writes the line
                asyncio.get_running_loop().call_later(wait_s, self._write)

    def _write(self) -> None:
        if self._num_unlogged:
            self._logger.log(self._level, self._template, self._num_unlogged, *self._values)
            self._num_unlogged, self._next_line_s = 0, self._clock() + THROTTLE_S


def configure(level: str, form: str) -> None:
    """Configures the root logger unless an embedding program has done so."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        # Not WARNING: clients cause these warnings, for example with a malformed tracestate, and
        # could fill the disk.
        for name in ("uvicorn", "opentelemetry"):
            logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Drops uvicorn's error about a cancelled shutdown, which the server logs itself."""
    return not str(record.msg).startswith("Cancel %s running task")


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _truncate(text: str) -> str:
    if len(text) <= MAX_RECORD_CHARS:
        return text
    return f"{text[:MAX_RECORD_CHARS]}… ({len(text)} characters)"
