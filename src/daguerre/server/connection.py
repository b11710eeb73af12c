"""One TCP connection: uvicorn's HTTP/1.1, with the error object where it answers by itself.

What is no HTTP never reaches the app; it is refused here, in the same words and the same shape. So
is a head that does not arrive in time, which uvicorn would wait for without end. Always on h11, so
that every installation reads HTTP the same way. Knows no path and no field.
"""

from __future__ import annotations

import asyncio
import uuid
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from daguerre.errors import BodyTimeout, DaguerreError, InvalidRequest
from daguerre.server.errors import error_body

MAX_HEAD_BYTES = 64 * 1024


class HttpProtocol(H11Protocol):
    head_timeout_s = 20.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def send_400_response(self, msg: str) -> None:
        self._refuse(
            InvalidRequest(
                f"this is not valid HTTP/1.1, or its head exceeds {MAX_HEAD_BYTES} bytes"
            )
        )

    def _should_upgrade(self) -> bool:
        return False  # no WebSocket is served; the request is answered as if it had not asked

    def _is_working(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch_head(self) -> None:
        """Runs from the first byte after an answer until the head of the next request is in."""
        if self._is_working() or self.transport.is_closing():
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._is_working() and not self.transport.is_closing():
            self._refuse(
                BodyTimeout(f"the head of the request was not in after {self.head_timeout_s:g} s")
            )

    def _refuse(self, error: DaguerreError) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(error)
        if self._is_working():
            # The app may be waiting for the rest of a body that will never come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _write(self, error: DaguerreError) -> None:
        body = error_body(error)
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", uuid.uuid4().hex),
            ("connection", "close"),
        ]
        reason = HTTPStatus(error.status).phrase.encode("ascii")
        response = h11.Response(status_code=error.status, headers=headers, reason=reason)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
