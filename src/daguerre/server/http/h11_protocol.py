"""HTTP/1.1 protocol of one TCP connection, a subclass of uvicorn's h11 protocol.

It rejects malformed HTTP, slow request heads and connections over the limit with the error object,
and closes connections whose clients do not read their response. Small reads keep one sender from
blocking the event loop. h11 is always used, so every installation parses HTTP the same way.

Parts of uvicorn used beyond its documented API, all in `H11Protocol`: the attributes `client`,
`conn`, `cycle`, `headers`, `loop`, `transport`, `timeout_keep_alive` and `timeout_keep_alive_task`,
and the methods `handle_events`, `on_response_complete`, `send_400_response`, `shutdown`,
`timeout_keep_alive_handler` and `_should_upgrade`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import uuid
from contextlib import suppress
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from daguerre.errors import DaguerreError, InvalidRequestError, RequestTimeoutError
from daguerre.server.http.connection_limiter import ConnectionLimiter, client_ip_network
from daguerre.server.http.errors import error_response
from daguerre.server.http.logs import ThrottledLogger

MAX_HEAD_BYTES = 64 * 1024
# The cost of a head depends on its lines: 13,000 short ones fit into 64 KiB and take 48 ms.
MAX_HEAD_LINES = 128
# Bytes parsed per turn of the event loop. asyncio's 256 KiB take 0.4 s in chunks of one byte.
READ_CHUNK_BYTES = 8 * 1024
# A connection without a complete request head for this time is idle.
IDLE_AFTER_S = 1.0
# A connection whose client reads nothing for this time is idle, too.
WRITE_STALL_S = 5.0
# A rejected connection gets its error when its request arrives, or is closed after this time. The
# client's system would discard a response that is sent before the request is read.
_HOLD_REJECTED_S = 1.0
_WRITE_POLL_S = 0.5
_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as in h11


class HttpProtocol(H11Protocol, asyncio.BufferedProtocol):
    """See the module; the class attributes without a value are set in a subclass."""

    limiter: ConnectionLimiter
    malformed_log: ThrottledLogger
    read_buffer: memoryview  # shared by all connections: received data is copied at once
    head_timeout_s: float
    response_write_timeout_s: float
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _rejection: DaguerreError | None = None  # of a connection over the limit
    _is_shutting_down = False
    _idle_since_s = _writing_since_s = _last_read_s = 0.0
    _unsent_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only if the listening socket names its protocol, and ours does not.
        # Otherwise a response body waits 40 ms for the acknowledgement of its head.
        with suppress(OSError):  # on some systems, if the client has disconnected
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Calls `pause_writing` whenever data cannot be sent at once.
        transport.set_write_buffer_limits(high=0)
        self._idle_since_s = self.loop.time()
        address = self.client[0] if self.client else ""
        self._rejection = self.limiter.admit(self, client_ip_network(address))
        if not self._rejection:
            self._update_header_timer()
        elif self.limiter.try_hold_rejected(self):
            self._head_timer = self.loop.call_later(_HOLD_REJECTED_S, self.abort)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_write_timer()
        self.limiter.release(self)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._rejection:
            self._send_error_and_close(self._rejection)
            return
        self.limiter.touch(self)
        if self._should_discard_body():
            return
        super().data_received(data)
        if self._is_discarded_body_complete():
            self._restart_keep_alive()
        else:
            self._update_header_timer()

    def handle_events(self) -> None:
        if self.conn.their_state is h11.IDLE and self._is_head_too_large():
            message = (
                f"the request head is larger than {MAX_HEAD_BYTES} bytes or has more than"
                f" {MAX_HEAD_LINES} lines"
            )
            self._send_error_and_close(InvalidRequestError(message))
            return
        super().handle_events()

    def on_response_complete(self) -> None:
        self._idle_since_s = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing_since_s = self._last_read_s = self.loop.time()
        self._unsent_bytes = 0
        self._stop_write_timer()
        self._check_write_progress()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()
        self._idle_since_s = self.loop.time()

    def shutdown(self) -> None:
        self._is_shutting_down = True
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self.malformed_log.log()
        self._send_error_and_close(InvalidRequestError("the request is not valid HTTP/1.1"))

    def is_idle(self) -> bool:
        now_s = self.loop.time()
        if self._write_timer is not None:
            return now_s - self._last_read_s > WRITE_STALL_S
        return not self._has_request() and now_s - self._idle_since_s > IDLE_AFTER_S

    def abort(self) -> None:
        self.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # an upgrade to WebSocket is ignored

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _should_discard_body(self) -> bool:
        """Whether a chunked body is still arriving after its response.

        The connection is about to be closed, so the rest need not be parsed.
        """
        return (
            self._has_request()
            and self.cycle.response_started
            and self.conn.their_state is h11.SEND_BODY
            and any(name == b"transfer-encoding" for name, _ in self.headers)
        )

    def _is_discarded_body_complete(self) -> bool:
        received, _ = self.conn.trailing_data
        return not (self._has_request() or received) and self.conn.their_state is h11.IDLE

    def _restart_keep_alive(self) -> None:
        """Restarts uvicorn's keep-alive timer, which the discarded body has stopped."""
        self._stop_header_timer()
        self._idle_since_s = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _is_head_too_large(self) -> bool:
        received, _ = self.conn.trailing_data
        end = _END_OF_HEAD.search(received)
        num_bytes = end.start() if end else len(received)
        num_lines = received.count(b"\n", 0, num_bytes)
        return num_bytes > MAX_HEAD_BYTES or num_lines > MAX_HEAD_LINES

    def _update_header_timer(self) -> None:
        """Starts the timer unless a request is in progress: its head is complete."""
        if self._has_request() or self.transport.is_closing():
            self._stop_header_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._on_header_timeout)

    def _stop_header_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_header_timeout(self) -> None:
        self._head_timer = None
        if not self._has_request() and not self.transport.is_closing():
            message = f"the request head did not arrive within {self.head_timeout_s:g} s"
            self._send_error_and_close(RequestTimeoutError(message))

    def _check_write_progress(self) -> None:
        """Polls unsent data, and aborts if the client reads too slowly."""
        now_s, unsent_bytes = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._last_read_s = unsent_bytes, now_s
        self._write_timer = self.loop.call_later(
            min(_WRITE_POLL_S, self.response_write_timeout_s / 2), self._check_write_progress
        )
        is_late = now_s - self._writing_since_s > self.response_write_timeout_s
        if is_late or (self._is_shutting_down and self.is_idle()):
            self._stop_write_timer()
            self.abort()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _send_error_and_close(self, error: DaguerreError) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = {"x-request-id": uuid.uuid4().hex, "connection": "close"}
            response, reason = error_response(error, headers), HTTPStatus(error.status).phrase
            head = h11.Response(
                status_code=error.status, headers=response.raw_headers, reason=reason.encode()
            )
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self._has_request():
            # The app may wait for the rest of a body that will never arrive.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
