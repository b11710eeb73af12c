"""Signed URLs of images: until it expires, anyone with the URL can fetch, without an API key.

The signature covers the name and the expiry, with a secret that stays on the server.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from daguerre.errors import NotFoundError, SettingsError, UnavailableError
from daguerre.storage import data_dir
from daguerre.storage.errors import translate_errors
from daguerre.validation import MIN_SECRET_CHARS

SECRET_FILE = "signed_urls.key"
_ADVICE = "delete it to get a new secret, which invalidates the URLs signed before"


class UrlSigner:
    """Signs URLs below `path` that expire after `ttl_s`.

    Without a `secret`, one is created in the data directory `home` when it is first needed. If that
    fails, the methods raise `UnavailableError`.
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
        self._configured_secret, self._file = secret, home / SECRET_FILE

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

    def prepare(self, *, is_shared: bool) -> None:
        """Checks the secret. Raises `SettingsError` if its file is damaged.

        Also raises it for images that servers share (`is_shared`) without a configured secret.
        """
        if is_shared and not self._configured_secret:
            raise SettingsError(
                "image_store is a bucket, and signed_url_secret is not set; set it to one secret on"
                " all servers that use the bucket, for example from 'openssl rand -hex 32', with"
                " DAGUERRE_SIGNED_URL_SECRET or --signed-url-secret-file"
            )
        if os.path.lexists(self._file):
            _ = self._secret

    def _signature(self, name: str, expires: str) -> str:
        text = f"{name}\n{expires}".encode("utf-8", "surrogatepass")
        outage = UnavailableError("the server cannot read its secret", retry_after_s=5)
        with translate_errors(SettingsError, lambda error: outage):
            return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        if self._configured_secret:
            return self._configured_secret.encode()
        if not os.path.lexists(self._file):
            self._create()
        with suppress(SettingsError):  # a read-only directory
            data_dir.make_private(self._file)
        return _read(self._file)

    def _create(self) -> None:
        data_dir.prepare(self._file.parent)
        with data_dir.locked(self._file):
            if not self._file.exists():  # else another server has just created it
                data_dir.write_private(self._file, secrets.token_hex(32))


def _read(file: Path) -> bytes:
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}; {_ADVICE}") from None
    if len(secret) < MIN_SECRET_CHARS:
        raise SettingsError(
            f"the secret in {file} has {len(secret)} characters; it must have at least"
            f" {MIN_SECRET_CHARS}; {_ADVICE}"
        )
    return secret
