"""The request body: read within a size limit and a timeout, and parsed as strict JSON.

Duplicate keys, NaN, oversized numbers, deep nesting and lone surrogates are errors.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import NoReturn

from starlette.requests import Request

from daguerre.errors import BodyTooLargeError, InvalidRequestError, RequestTimeoutError
from daguerre.protocol.messages import quote_for_message
from daguerre.protocol.parsing import MAX_PARAM_CHARS

_MULTIPART = re.compile(rb"\s*--[^\r\n]+\r?\n[^{]*?content-disposition:", re.IGNORECASE)
_FORM = re.compile(rb"\s*[\w.%+\[\]-]+=")
_TOO_DEEP = "the body is nested too deeply; no field has nested values"


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The body. Raises `BodyTooLargeError` while it arrives, `RequestTimeoutError` or
    `ClientDisconnect`."""
    _check_headers(request, max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(f"more than {max_bytes} bytes", max_bytes)
    except TimeoutError:
        raise RequestTimeoutError(
            f"only {len(body)} bytes of the request body arrived; it must be complete within"
            f" {timeout_s:g} s"
        ) from None
    return bytes(body)


def parse_object(body: bytes) -> dict[str, object]:
    """The JSON object in the body; the Content-Type is ignored."""
    if not body.strip():
        raise InvalidRequestError("the body is empty; it must be a JSON object")
    try:
        # utf-8-sig skips a byte order mark, which some editors and shells write.
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_reject_duplicates,
            parse_constant=_reject_constant,
        )
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text: {error.reason}, byte {error.start}"
        raise _not_json(body, reason) from None
    except RecursionError:
        raise InvalidRequestError(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise _not_json(body, f"not valid JSON: {error}") from None
    except ValueError:
        raise InvalidRequestError("the body contains a number with too many digits") from None
    if not isinstance(value, dict):
        raise InvalidRequestError(
            f"the body is {quote_for_message(value)}; it must be a JSON object"
        )
    if b"\\u" in body:
        _check_unicode(value)
    return value


def _not_json(body: bytes, reason: str) -> InvalidRequestError:
    """The error for text that is not JSON; names the format if it is a common one."""
    encoding = json.detect_encoding(body)
    if _MULTIPART.match(body):
        reason = "multipart/form-data"
    elif _FORM.match(body):
        reason = "form fields (name=value)"
    elif not encoding.startswith("utf-8") and body.strip(b"\0"):
        reason = encoding[:6].upper()
    else:
        return InvalidRequestError(f"the body is {reason}")
    return InvalidRequestError(f"the body is {reason}; send a JSON object in UTF-8")


def _check_headers(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(f"{length} bytes", max_bytes)
    for coding in request.headers.getlist("content-encoding"):
        if coding.lower() != "identity":
            raise InvalidRequestError(
                f"the content encoding {quote_for_message(coding)} is not supported; send none"
            )


def _too_large(size: str, max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body has {size}; the limit is {max_bytes} bytes")


def _reject_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            message = f"the key {quote_for_message(name)} occurs more than once"
            raise InvalidRequestError(message, param=name[:MAX_PARAM_CHARS])
        fields[name] = value
    return fields


def _reject_constant(name: str) -> NoReturn:
    raise InvalidRequestError(f"the body contains {name}, which is not JSON")


def _check_unicode(fields: dict[str, object]) -> None:
    """Rejects lone surrogates, such as \\ud800 without the second half of its pair."""
    for name, value in fields.items():
        try:
            json.dumps([name, value], ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequestError(
                f"{quote_for_message(name)} contains half of a surrogate pair; send both halves or"
                " the character itself",
                param=name.encode("ascii", "backslashreplace").decode("ascii")[:MAX_PARAM_CHARS],
            ) from None
        except RecursionError:
            raise InvalidRequestError(_TOO_DEEP) from None
