"""The time that a request gives its image, in the header x-request-timeout.

Proxies and clients give up after a time of their own; a server that knows it spends nothing on an
answer that nobody waits for. Knows no other header.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from daguerre.errors import InvalidRequestError
from daguerre.protocol.messages import quote_for_message

HEADER = "x-request-timeout"
MIN_TIMEOUT_S = 0.05
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def timeout_s(headers: Headers, max_s: float) -> float:
    """In seconds from the arrival of the request; `max_s` where the header is not sent. Raises
    `InvalidRequestError`: a longer time is refused, since it would not be kept."""
    sent = headers.getlist(HEADER)
    if not sent:
        return max_s
    seconds = float(sent[0]) if len(sent) == 1 and _NUMBER.fullmatch(sent[0]) else 0.0
    low = min(MIN_TIMEOUT_S, max_s)
    if not low <= seconds <= max_s:
        raise InvalidRequestError(
            f"{HEADER} is {quote_for_message(', '.join(sent))}; it must be a number of seconds"
            f" from {low:g} to {max_s:g}",
            param=HEADER,
        )
    return seconds
