"""Image files: PNG and JPEG encoding, the metadata inside them, and Content Credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.imagefile.content_credentials import ContentCredentials


def open_credentials(
    certificate: Path | None, private_key: Path | None
) -> ContentCredentials | None:
    """What signs image files, or None without a certificate.

    The library is only imported with one. Raises `SettingsError` if it is not installed, if one of
    the two files is not given, or if they cannot sign.
    """
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        raise SettingsError(
            "only one of c2pa_certificate and c2pa_private_key is set; set both or neither"
        )
    try:
        from daguerre.imagefile.content_credentials import ContentCredentials
    except ImportError as error:
        raise SettingsError(
            f"c2pa_certificate is set, but the library is not installed ({error}); run: pip install"
            " 'daguerre[c2pa]', or unset it"
        ) from None
    return ContentCredentials(certificate, private_key)
