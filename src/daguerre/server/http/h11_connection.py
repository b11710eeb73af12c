"""The HTTP/1.1 parser of one connection: h11 with more rules, and with limits on its work.

Used beyond h11's documented API: `_receive_buffer`, which is read and loses an empty line.
"""

from __future__ import annotations

import re
from typing import Any

import h11

MAX_HEAD_BYTES = 64 * 1024
# The cost of a head depends on its lines: 13,000 short ones fit into 64 KiB and take 48 ms.
MAX_HEAD_LINES = 128
# Paths and queries are parsed several times; 60 KiB of a query take 20 ms.
MAX_TARGET_BYTES = 8 * 1024
# The cost of a body depends on its chunks: 256 KiB in chunks of one byte take 1.3 s.
MAX_BODY_CHUNKS = 4096
# An incomplete chunk header or trailer section.
MAX_CHUNK_HEADER_BYTES = 4096
# Events parsed before other connections have their turn.
EVENTS_PER_SLICE = 32
# The value of this header is sent as the reason phrase of the status line instead.
REASON_HEADER = "x-reason-phrase"
# h11 quotes the line, which may have a key. After a valid name only the value can be at fault.
_ILLEGAL_VALUE = re.compile(r"illegal header line: \w*\(?b['\"]([\w-]{1,40}):")
_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as in h11


class HttpConnection(h11.Connection):
    """`next_event` also raises `RemoteProtocolError` if a request breaks a rule of this class.

    At the end of a slice it returns `NEED_DATA`, and `is_interrupted` is True.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.broken_rule = ""  # the error message
        self.is_interrupted = False
        self._num_events_left = EVENTS_PER_SLICE
        self._num_chunks = 0
        self._may_skip_line = True

    @property
    def has_unparsed_data(self) -> bool:
        return bool(self._receive_buffer)

    def start_slice(self) -> None:
        """Allows `next_event` to parse `EVENTS_PER_SLICE` more events."""
        self._num_events_left, self.is_interrupted = EVENTS_PER_SLICE, False

    def start_next_cycle(self) -> None:
        super().start_next_cycle()
        self._num_chunks, self._may_skip_line = 0, True

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if not self._num_events_left:
            self.is_interrupted = True
            return h11.NEED_DATA
        if self.their_state is h11.IDLE and self._is_before_head():
            return h11.NEED_DATA
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.broken_rule = _header_rule(str(error))
            raise
        self._num_events_left -= 1
        self._check(event)
        return event

    def send(self, event: Any) -> Any:
        return super().send(_with_reason(event) if isinstance(event, h11.Response) else event)

    def _is_before_head(self) -> bool:
        """Skips one empty line before the head (RFC 9112, 2.2), and checks the size of the head."""
        received = bytes(self._receive_buffer)
        if self._may_skip_line and b"\r\n".startswith(received):
            return True
        if self._may_skip_line and received.startswith(b"\r\n"):
            self._receive_buffer.maybe_extract_at_most(2)
            self._may_skip_line, received = False, received[2:]
        self._check_head(received)
        return not received

    def _check_head(self, received: bytes) -> None:
        end = _END_OF_HEAD.search(received)
        num_bytes = end.start() if end else len(received)
        num_lines = received.count(b"\n", 0, num_bytes)
        if num_bytes > MAX_HEAD_BYTES or num_lines > MAX_HEAD_LINES:
            self._fail(
                f"the request head is larger than {MAX_HEAD_BYTES} bytes or has more than"
                f" {MAX_HEAD_LINES} lines"
            )

    def _check(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> None:
        if isinstance(event, h11.Request):
            if len(event.target) > MAX_TARGET_BYTES:
                self._fail(
                    f"the URL has {len(event.target)} bytes; the limit is {MAX_TARGET_BYTES} bytes"
                )
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:
                # A proxy may have read a body of another length (RFC 9112, 6.1).
                self._fail("the request has Content-Length and Transfer-Encoding; send one of them")
        elif isinstance(event, h11.Data):
            self._num_chunks += event.chunk_start
            if self._num_chunks > MAX_BODY_CHUNKS:
                self._fail(
                    f"the body has more than {MAX_BODY_CHUNKS} chunks; send larger chunks, or a"
                    " Content-Length"
                )
        elif event is h11.NEED_DATA and self.their_state is h11.SEND_BODY:
            if len(self._receive_buffer) > MAX_CHUNK_HEADER_BYTES:
                self._fail(
                    "a chunk header or the trailer section is larger than"
                    f" {MAX_CHUNK_HEADER_BYTES} bytes"
                )

    def _fail(self, broken_rule: str) -> None:
        self.broken_rule = broken_rule
        raise h11.RemoteProtocolError(broken_rule)


def _header_rule(error: str) -> str:
    """The message for an error of h11 about a header's value, or an empty string."""
    match = _ILLEGAL_VALUE.match(error)
    if not match:
        return ""
    return (
        f"the value of the header {match[1]} has a control character, such as the carriage return"
        " of a file with Windows line ends; remove it"
    )


def _with_reason(response: h11.Response) -> h11.Response:
    name = REASON_HEADER.encode("ascii")
    headers = [(key, value) for key, value in response.headers if key != name]
    reason = dict(response.headers).get(name, response.reason)
    return h11.Response(status_code=response.status_code, headers=headers, reason=reason)
