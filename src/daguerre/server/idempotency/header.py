"""The Idempotency-Key header, in the form of Stripe's API and of the IETF draft.

    Idempotency-Key: 8e03978e-40d5-43ec-bc93-6894a57f9324
    Idempotency-Key: "8e03978e-40d5-43ec-bc93-6894a57f9324"

are the same key.
"""

from __future__ import annotations

import hmac
import re

from starlette.datastructures import Headers

from daguerre.errors import InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.protocol.request import ImageGenerationRequest

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
# A string of RFC 9651, 3.3.3: printable ASCII, with escaped quotes and backslashes.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_PLAIN = re.compile(r"[!#-~][!-~]*")


def parse_idempotency_key(headers: Headers) -> str | None:
    """The key without quotes; None if there is no header."""
    values = headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequestError(f"got {len(values)} {HEADER} headers; send one", param=HEADER)
    if quoted := _QUOTED.fullmatch(values[0]):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = values[0] if _PLAIN.fullmatch(values[0]) else ""
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise InvalidRequestError(
            f"{HEADER} is {quote_for_message(values[0])}; it must be 1 to {MAX_KEY_CHARS} printable"
            " ASCII characters, without spaces unless quoted",
            param=HEADER,
        )
    return key


def request_digest(key: str, request: ImageGenerationRequest) -> str:
    """Equal for equal requests, however their JSON is written.

    It is keyed, so that prompts cannot be guessed from the database.
    """
    return hmac.digest(key.encode(), request.model_dump_json().encode(), "sha256").hex()
