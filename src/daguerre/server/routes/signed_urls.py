"""Signed URLs of images: until it expires, anyone with the URL can fetch, without an API key.

The signature covers the name and the expiry, with a secret that stays on the server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from daguerre.errors import NotFoundError
from daguerre.storage import data_dir

SECRET_FILE = "signed_urls.key"


class UrlSigner:
    """Signs URLs below `path` that expire after `ttl_s`.

    Without a `secret`, one is created in the data directory `home` when it is first needed.
    """

    def __init__(
        self,
        path: str,
        ttl_s: float,
        secret: str,
        home: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._ttl_s, self._clock = path, ttl_s, clock
        self._configured_secret, self._home = secret, home

    def sign(self, base_url: str, name: str) -> str:
        """A URL of the image; `base_url` is the server's URL, which is not signed."""
        expires = str(int(self._clock() + self._ttl_s))
        query = f"expires={expires}&signature={self._signature(name, expires)}"
        return f"{base_url}{self._path}/{name}?{query}"

    def verify(self, name: str, query: Mapping[str, str]) -> int:
        """Returns the seconds until the URL expires.

        Raises `NotFoundError` for an expired URL or a wrong signature.
        """
        expires, signature = query.get("expires", ""), query.get("signature", "")
        expected = self._signature(name, expires)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            raise NotFoundError("no such file: the URL's signature is not from this server")
        remaining_s = int(expires) - int(self._clock())
        if remaining_s <= 0:
            raise NotFoundError("no such file: the URL has expired; generate the image again")
        return remaining_s

    def _signature(self, name: str, expires: str) -> str:
        text = f"{name}\n{expires}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        if self._configured_secret:
            return self._configured_secret.encode()
        file = data_dir.prepare(self._home) / SECRET_FILE
        with data_dir.locked(file):
            if not file.exists():
                data_dir.write_private(file, secrets.token_hex(32))
            data_dir.make_private(file)
            return file.read_bytes()
