"""One TCP connection: uvicorn's HTTP/1.1, with the error object where it answers by itself.

What is no HTTP never reaches the app; it is refused here, in the same words and the same shape. So
is a head that does not arrive in time, which uvicorn would wait for without end, and a connection
too many. A client that does not take its answer in time is dropped. No sender can make much work
out of one turn of the event loop. Always on h11, so that every installation reads HTTP the same
way. Knows no path and no field.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import uuid
from contextlib import suppress
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from daguerre.errors import DaguerreError, InvalidRequestError, RequestTimeoutError
from daguerre.server.http.connection_limiter import ConnectionLimiter, client_network
from daguerre.server.http.errors import error_body
from daguerre.server.http.logs import ThrottledLogger

MAX_HEAD_BYTES = 64 * 1024
# Each costs as much to read as a long one: 13,000 short ones fit into a head, and took 48 ms.
MAX_HEAD_LINES = 128
# So much is read at a time, and then others have their turn: a body in chunks of one byte takes
# 10 us for each, or 0.4 s for the 256 KiB that asyncio reads.
READ_BYTES = 8 * 1024
# A connection that has sent no whole head for so long makes room for another, also where it sends
# one byte now and then.
IDLE_S = 1.0
# So does one whose answer nobody has taken a byte of for so long; a server that ends drops it.
STALLED_S = 5.0
# A connection too many is refused when its request comes, or closed after this time. An answer that
# is sent before the request is read would be thrown away by the client's system.
_REFUSED_S = 1.0
_LOOK_S = 0.5
_UVICORN_SAYS = "Invalid HTTP request received."
_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as h11 has it


def is_for_the_log(record: logging.LogRecord) -> bool:
    """A filter of uvicorn's log, for what is told here: uvicorn has a line for each such request,
    and so for whoever wants to fill a disk."""
    return record.msg != _UVICORN_SAYS


class HttpProtocol(H11Protocol, asyncio.BufferedProtocol):
    crowd: ConnectionLimiter
    nonsense: ThrottledLogger  # the log of what is no HTTP
    incoming: memoryview  # of all connections: what comes is copied out at once
    head_timeout_s = 20.0
    response_write_timeout_s = 60.0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _refusal: DaguerreError | None = None  # of a connection too many
    _is_ending = False
    _idle_since_s = _writing_since_s = _taken_s = 0.0
    _unsent_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so by itself only where the listening socket names its protocol, which ours
        # does not: the body of an answer waited 40 ms for the client to acknowledge its head.
        with suppress(OSError):  # on some systems, of a client that has gone already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # `pause_writing` is then called whenever something could not be sent at once.
        transport.set_write_buffer_limits(high=0)
        self._idle_since_s = self.loop.time()
        self._refusal = self.crowd.enter(
            self, client_network(self.client[0] if self.client else "")
        )
        if self._refusal:
            self._turn_away()
        else:
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._stop_looking()
        self.crowd.leave(self)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.incoming

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.incoming[:nbytes]))

    def data_received(self, data: bytes) -> None:
        if self._refusal:
            self._refuse(self._refusal)
            return
        self.crowd.note(self)
        if self._is_rest_unwanted():
            return
        super().data_received(data)
        if self._is_body_dropped():
            self._be_idle()
        else:
            self._watch_head()

    def handle_events(self) -> None:
        if self.conn.their_state is h11.IDLE and self._is_head_too_large():
            self._refuse(
                InvalidRequestError(
                    f"the head of the request has more than {MAX_HEAD_BYTES} bytes, or more than"
                    f" {MAX_HEAD_LINES} lines"
                )
            )
            return
        super().handle_events()

    def on_response_complete(self) -> None:
        self._idle_since_s = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing_since_s = self._taken_s = self.loop.time()
        self._unsent_bytes = 0
        self._stop_looking()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_looking()
        self._idle_since_s = self.loop.time()  # it has taken its answer

    def shutdown(self) -> None:
        self._is_ending = True
        super().shutdown()

    def is_quiet(self) -> bool:
        now_s = self.loop.time()
        if self._write_timer is not None:
            return now_s - self._taken_s > STALLED_S
        return not self._is_working() and now_s - self._idle_since_s > IDLE_S

    def drop(self) -> None:
        self.transport.abort()

    def _look(self) -> None:
        """Runs while a part of an answer waits to be taken."""
        now_s, unsent_bytes = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._taken_s = unsent_bytes, now_s
        is_late = now_s - self._writing_since_s > self.response_write_timeout_s
        self._write_timer = self.loop.call_later(
            min(_LOOK_S, self.response_write_timeout_s / 2), self._look
        )
        if is_late or (self._is_ending and self.is_quiet()):
            self._stop_looking()
            self.drop()

    def _stop_looking(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _turn_away(self) -> None:
        if self.crowd.may_stay(self):
            self._head_timer = self.loop.call_later(_REFUSED_S, self.drop)
        else:
            self.drop()

    def send_400_response(self, msg: str) -> None:
        self.nonsense.warn()
        self._refuse(InvalidRequestError("this is not valid HTTP/1.1"))

    def _is_rest_unwanted(self) -> bool:
        """The rest of a body in chunks that was answered before its end: the connection is closed
        in a moment, and until then what comes is not worth taking apart."""
        return (
            self._is_working()
            and self.cycle.response_started
            and self.conn.their_state is h11.SEND_BODY
            and any(name == b"transfer-encoding" for name, _ in self.headers)
        )

    def _is_body_dropped(self) -> bool:
        """What has come was the last of a body whose answer went out before."""
        come, _ = self.conn.trailing_data
        return not (self._is_working() or come) and self.conn.their_state is h11.IDLE

    def _be_idle(self) -> None:
        """As after any other answer: uvicorn only waits from the answer on, and had stopped it."""
        self._stop_watching()
        self._idle_since_s = self.loop.time()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _is_head_too_large(self) -> bool:
        come, _ = self.conn.trailing_data
        end = _END_OF_HEAD.search(come)
        num_bytes = end.start() if end else len(come)
        return num_bytes > MAX_HEAD_BYTES or come.count(b"\n", 0, num_bytes) > MAX_HEAD_LINES

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
                RequestTimeoutError(
                    f"the head of the request was not in after {self.head_timeout_s:g} s"
                )
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
        if error.retry_after_s is not None:
            headers.append(("retry-after", str(error.retry_after_s)))
        reason = HTTPStatus(error.status).phrase.encode("ascii")
        response = h11.Response(status_code=error.status, headers=headers, reason=reason)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
