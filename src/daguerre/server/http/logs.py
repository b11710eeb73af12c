"""The log: every record one line, for people or, as JSON, for whatever collects logs.

A record may bring `fields` of its own (`extra={"fields": {...}}`), as that of a request does; in
JSON they stand beside time, level and logger. No record is longer than `MAX_RECORD_CHARS`. Knows
nothing of what is logged.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

# Tracebacks fit; what a stranger or a library makes longer is cut.
MAX_RECORD_CHARS = 16 * 1024
SELDOM_S = 10.0


class ConsoleFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return _cut(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line; a traceback is one of its values."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= fields if isinstance(fields, dict) else {"message": _cut(record.getMessage())}
        if record.exc_info:
            line["traceback"] = _cut(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class ThrottledLogger:
    """A warning of what strangers can do as often as they like: one line in `SELDOM_S`."""

    def __init__(
        self, logger: logging.Logger, words: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`words` begin with %d, how often it was since the last line."""
        self._logger, self._words, self._clock = logger, words, clock
        self._num_untold = 0
        self._silent_until_s = float("-inf")

    def warn(self, *values: object) -> None:
        self._num_untold += 1
        now_s = self._clock()
        if now_s >= self._silent_until_s:
            self._logger.warning(self._words, self._num_untold, *values)
            self._num_untold, self._silent_until_s = 0, now_s + SELDOM_S


FORMATTERS: dict[str, type[logging.Formatter]] = {
    "console": ConsoleFormatter,
    "json": JsonFormatter,
}


def configure(level: str, form: str) -> None:
    """Leaves alone what the program that embeds the server has set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _cut(text: str) -> str:
    if len(text) <= MAX_RECORD_CHARS:
        return text
    return f"{text[:MAX_RECORD_CHARS]}… ({len(text)} characters)"
