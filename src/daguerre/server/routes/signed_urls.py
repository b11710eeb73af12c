"""Signed links to files: whoever has one may fetch the file until it expires, and needs no key.

The signature is over the name and the end, with a secret that stays on the server. Knows nothing of
where files are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from daguerre.config import Settings
from daguerre.errors import NotFoundError
from daguerre.storage import data_dir

PATH = "/v1/images/files"
KEY_FILE = "files.key"


class UrlSigner:
    """The secret is the setting's, or one that is made in the data folder when it is needed."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock

    def make(self, name: str) -> str:
        expires = str(int(self._clock() + self._settings.files_max_age_s))
        signed = f"expires={expires}&signature={self._signature(name, expires)}"
        return f"{self._settings.public_base_url()}{PATH}/{name}?{signed}"

    def seconds_left(self, name: str, query: Mapping[str, str]) -> int:
        """Raises `NotFoundError` for a link that has expired, or that this server has not made."""
        expires, signature = query.get("expires", ""), query.get("signature", "")
        expected = self._signature(name, expires)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            raise NotFoundError(
                "there is no such file: the link is not one that this server has made"
            )
        left = int(expires) - int(self._clock())
        if left <= 0:
            raise NotFoundError("there is no such file: the link has expired; make the image again")
        return left

    def _signature(self, name: str, expires: str) -> str:
        text = f"{name}\n{expires}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        if self._settings.files_secret:
            return self._settings.files_secret.encode()
        return _kept_secret(self._settings.data_dir())


def _kept_secret(home: Path) -> bytes:
    file = data_dir.prepare(home) / KEY_FILE
    with data_dir.locked(file):
        if not file.exists():
            data_dir.write_private(file, secrets.token_hex(32))
        data_dir.make_private(file)
        return file.read_bytes()
