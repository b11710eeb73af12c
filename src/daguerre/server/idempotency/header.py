"""The header Idempotency-Key, as clients of Stripe's API send it and as the IETF's draft writes it.

    Idempotency-Key: 8e03978e-40d5-43ec-bc93-6894a57f9324
    Idempotency-Key: "8e03978e-40d5-43ec-bc93-6894a57f9324"

are one key. Also what makes two requests the same one: their fields as they were understood, in
whatever way the JSON was written. Knows nothing of what is done with a key.
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
# A string of RFC 9651, 3.3.3: printable ASCII, with the quote and the backslash escaped.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_PLAIN = re.compile(r"[!#-~][!-~]*")
_RULE = f"1 to {MAX_KEY_CHARS} printable ASCII characters, such as a UUID"


def idempotency_key(headers: Headers) -> str | None:
    """The key, without the draft's quotes; None where none was sent."""
    sent = headers.getlist(HEADER)
    if not sent:
        return None
    if len(sent) > 1:
        raise InvalidRequestError(f"{len(sent)} headers {HEADER} were sent; send one", param=HEADER)
    if found := _QUOTED.fullmatch(sent[0]):
        key = re.sub(r"\\(.)", r"\1", found.group(1))
    else:
        key = sent[0] if _PLAIN.fullmatch(sent[0]) else ""
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        raise InvalidRequestError(
            f"{HEADER} is {quote_for_message(sent[0])}; it must be {_RULE}", param=HEADER
        )
    return key


def fingerprint(key: str, asked: ImageGenerationRequest) -> str:
    """Equal for equal requests. Under the key, so that whoever reads the database cannot try out
    prompts."""
    return hmac.digest(key.encode(), asked.model_dump_json().encode(), "sha256").hex()
