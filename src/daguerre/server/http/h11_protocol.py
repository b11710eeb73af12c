"""HTTP/1.1 protocol of one TCP connection, a subclass of uvicorn's h11 protocol.

It rejects malformed HTTP, slow request heads and connections over the limit with the error object,
and closes connections whose clients do not read their response. Received data waits in a queue for
its turn to be parsed, and nothing more is read until then, so no client blocks the event loop. h11
is always used, so every installation parses HTTP the same way.

Parts of uvicorn used beyond its documented API, all in `H11Protocol`: the attributes `client`,
`conn`, `cycle`, `flow`, `headers`, `loop`, `transport`, `timeout_keep_alive` and
`timeout_keep_alive_task`, and the methods `handle_events`, `on_response_complete`,
`send_400_response`, `shutdown`, `timeout_keep_alive_handler`, `_should_upgrade` and
`_unset_keepalive_if_required`.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from daguerre.errors import DaguerreError, InvalidRequestError, RequestTimeoutError
from daguerre.server.http.connection_limiter import ConnectionLimiter, client_ip_network
from daguerre.server.http.errors import error_response
from daguerre.server.http.h11_connection import HttpConnection
from daguerre.server.http.logs import ThrottledLogger
from daguerre.server.http.middleware import LINGER_S
from daguerre.server.http.parse_queue import ParseQueue

READ_CHUNK_BYTES = 8 * 1024
# A connection without a complete request head for this time is idle.
IDLE_AFTER_S = 1.0
# A connection whose client reads nothing for this time is idle, too.
WRITE_STALL_S = 5.0
# A rejected connection gets its error when its request arrives, or is closed after this time. The
# client's system would discard a response that is sent before the request is read.
_HOLD_REJECTED_S = 1.0
_WRITE_POLL_S = 0.5


class HttpProtocol(H11Protocol, asyncio.BufferedProtocol):
    """See the module; the class attributes without a value are set in a subclass."""

    conn: HttpConnection
    limiter: ConnectionLimiter
    parse_queue: ParseQueue
    malformed_log: ThrottledLogger
    read_buffer: memoryview  # shared by all connections: received data is copied at once
    head_timeout_s: float
    response_write_timeout_s: float
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _rejection: DaguerreError | None = None  # of a connection over the limit
    _linger_timer: asyncio.TimerHandle | None = None
    _is_connected = _is_lingering = _is_shutting_down = False
    _idle_since_s = _writing_since_s = _last_read_s = 0.0
    _unsent_bytes = 0
    _ip_network = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = HttpConnection()

    def admit(self, address: str) -> bool:
        """Counts the connection from this IP address. If False, it must be closed at once."""
        self._ip_network, self._idle_since_s = client_ip_network(address), self.loop.time()
        self._rejection = self.limiter.admit(self, self._ip_network)
        return not self._rejection or self.limiter.try_hold_rejected(self, self._ip_network)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_connected = True
        # asyncio does this only if the listening socket names its protocol, and ours does not.
        # Otherwise a response body waits 40 ms for the acknowledgement of its head.
        with suppress(OSError):  # on some systems, if the client has disconnected
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Calls `pause_writing` whenever data cannot be sent at once.
        transport.set_write_buffer_limits(high=0)
        if not self._rejection:
            self._update_header_timer()
        elif self.limiter.is_held(self):
            self._head_timer = self.loop.call_later(_HOLD_REJECTED_S, self.abort)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_write_timer()
        if self._linger_timer:
            self._linger_timer.cancel()
        self.limiter.release(self)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        if self._rejection:
            self._send_error_and_close(self._rejection)
            return
        self.limiter.touch(self)
        if not self._should_discard_body():
            self._unset_keepalive_if_required()
            self.conn.receive_data(data)
            self.handle_events()

    def handle_events(self) -> None:
        """Waits for the next turn to parse. uvicorn calls this after a response, too."""
        if self.conn.has_unparsed_data:
            self.transport.pause_reading()
            self.parse_queue.add(self, self._ip_network)

    def parse_slice(self) -> bool:
        if self._is_closing() or self._should_discard_body():
            self.transport.resume_reading()
            return False
        self.conn.start_slice()
        super().handle_events()
        if self.conn.is_interrupted:
            self.transport.pause_reading()  # uvicorn may have resumed it
            return True
        if not self.flow.read_paused:
            self.transport.resume_reading()
        if self._is_discarded_body_complete():
            self._restart_keep_alive()
        else:
            self._update_header_timer()
        return False

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
        if self._is_lingering:
            self.transport.close()
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self.malformed_log.log()
        message = self.conn.broken_rule or "the request is not valid HTTP/1.1"
        self._send_error_and_close(InvalidRequestError(message))

    def is_idle(self) -> bool:
        now_s = self.loop.time()
        if self._is_lingering or not self._is_connected:
            return self._is_lingering
        if self._write_timer is not None:
            return now_s - self._last_read_s > WRITE_STALL_S
        return not self._has_request() and now_s - self._idle_since_s > IDLE_AFTER_S

    def abort(self) -> None:
        if self._is_connected:
            self.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # an upgrade to WebSocket is ignored

    def _is_closing(self) -> bool:
        return self._is_lingering or self.transport.is_closing()

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
        is_waiting = self._has_request() or self.conn.has_unparsed_data
        return not is_waiting and self.conn.their_state is h11.IDLE

    def _restart_keep_alive(self) -> None:
        """Restarts uvicorn's keep-alive timer, which the discarded body has stopped."""
        self._stop_header_timer()
        self._idle_since_s = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _update_header_timer(self) -> None:
        """Starts the timer unless a request is in progress: its head is complete."""
        if self._has_request() or self._is_closing():
            self._stop_header_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._on_header_timeout)

    def _stop_header_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_header_timeout(self) -> None:
        self._head_timer = None
        if not self._has_request() and not self._is_closing():
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
            response = error_response(error, headers)
            head = h11.Response(status_code=error.status, headers=response.raw_headers)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self._has_request():
            # The app may wait for the rest of a body that will never arrive.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._linger()

    def _linger(self) -> None:
        """Discards what arrives within `LINGER_S`, or until the client closes the connection.

        If the connection were closed now, a client that still sends would lose the response.
        """
        self._is_lingering = True
        with suppress(OSError):  # the client has disconnected
            self.transport.write_eof()
        self.transport.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_S, self.abort)
