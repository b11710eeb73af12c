"""Connections with unparsed data. Each turn of the event loop parses for a few milliseconds.

IP networks alternate, and so do the connections of one network. However much some clients send,
others are accepted and served in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

TURN_S = 0.005


class Parser(Protocol):
    """A connection whose received data is parsed in slices."""

    def parse_slice(self) -> bool:
        """Parses a part of the data; returns whether there is more."""

    def abort(self) -> None: ...


class ParseQueue:
    """A queue of connections; used from the event loop. Parses for about `TURN_S` per turn."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        # IP network -> its connections; the first ones are next
        self._waiting: OrderedDict[str, OrderedDict[Parser, None]] = OrderedDict()
        self._is_scheduled = False

    def add(self, connection: Parser, ip_network: str) -> None:
        """Adds a connection; does nothing if it is in the queue."""
        self._waiting.setdefault(ip_network, OrderedDict())[connection] = None
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run_turn)

    def _run_turn(self) -> None:
        end_s = self._clock() + TURN_S
        while self._waiting:
            ip_network, connections = self._waiting.popitem(last=False)
            connection, _ = connections.popitem(last=False)
            if connections:
                self._waiting[ip_network] = connections
            if _parse_slice(connection):
                self.add(connection, ip_network)
            if self._clock() >= end_s:
                break
        self._is_scheduled = bool(self._waiting)
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._run_turn)


def _parse_slice(connection: Parser) -> bool:
    try:
        return connection.parse_slice()
    except Exception as error:  # a bug, which must not stop the other connections
        context = {"message": "cannot parse a request", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        connection.abort()
        return False
