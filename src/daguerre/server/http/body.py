"""The body of a request: read within its limits, then parsed as one strict JSON object.

What JSON leaves open is closed here: keys given twice, NaN, numbers past any use, nesting past any
use and text that is no Unicode are refused. Knows no field of any request.
"""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

from starlette.requests import Request

from daguerre.errors import BodyTooLargeError, InvalidRequestError, RequestTimeoutError
from daguerre.protocol.messages import quote_for_message

_TOO_DEEP = "the body is nested too deeply; no field takes nested values"
_KINDS = {str: "a string", int: "a number", float: "a number", list: "an array", bool: "a boolean"}


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Refuses while the body arrives. Raises `ClientDisconnect` where the sender went away."""
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
            f"after {timeout_s:g} s only {len(body)} bytes of the body had arrived;"
            f" it must be complete within {timeout_s:g} s"
        ) from None
    return bytes(body)


def parse_object(body: bytes) -> dict[str, object]:
    """The JSON object in the body, whatever the Content-Type says it is."""
    if not body.strip():
        raise InvalidRequestError("the body is empty; it must be a JSON object")
    try:
        # utf-8-sig: a byte order mark carries nothing, and some editors and shells write one.
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the body is not UTF-8 text: {error.reason}, byte {error.start}"
        ) from None
    except RecursionError:
        raise InvalidRequestError(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from None
    except ValueError:
        raise InvalidRequestError("the body holds a number with too many digits") from None
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "null")
        raise InvalidRequestError(f"the body is {kind}; it must be a JSON object")
    if b"\\u" in body:
        _check_unicode(value)
    return value


def _check_headers(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(f"{length} bytes", max_bytes)
    for coding in request.headers.getlist("content-encoding"):
        if coding.lower() != "identity":
            raise InvalidRequestError(
                f"the body is encoded as {quote_for_message(coding)}; send it unencoded"
            )


def _too_large(size: str, max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body has {size}; at most {max_bytes} bytes are allowed")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidRequestError(
                f"the key {quote_for_message(name)} is given more than once", param=name[:100]
            )
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequestError(f"the body holds {name}, which is not JSON")


def _check_unicode(fields: dict[str, object]) -> None:
    """An escape such as \\ud800 without its other half is a lone surrogate: no character."""
    for name, value in fields.items():
        try:
            json.dumps([name, value], ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequestError(
                f"{quote_for_message(name)} holds half of a surrogate pair, which is no character;"
                " send both halves, or the character itself",
                param=name.encode("ascii", "backslashreplace").decode("ascii")[:100],
            ) from None
        except RecursionError:
            raise InvalidRequestError(_TOO_DEEP) from None
