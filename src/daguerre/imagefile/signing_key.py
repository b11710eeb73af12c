"""The key and the certificate chain that sign Content Credentials.

Signatures are deterministic: Ed25519, or ECDSA with the nonce of RFC 6979. RSA-PSS, which C2PA also
allows, is random.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from daguerre.errors import SettingsError

_CURVES: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "secp256r1": ("ES256", hashes.SHA256()),
    "secp384r1": ("ES384", hashes.SHA384()),
    "secp521r1": ("ES512", hashes.SHA512()),
}
_KEYS = "it must be Ed25519, or ECDSA on P-256, P-384 or P-521, whose signatures are deterministic"
_WARNING = timedelta(days=30)

logger = logging.getLogger(__name__)


class SigningKey:
    """A private key with its certificate chain, both from PEM files.

    `algorithm` is a name of COSE. Raises `SettingsError` for a file that does not fit.
    """

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self.chain = _read(certificate)
        key = _load_key(private_key)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            self.algorithm = "ED25519"
        elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
            self.algorithm, self._hash = _CURVES[key.curve.name]
        else:
            raise SettingsError(f"{private_key} has a key of another kind; {_KEYS}")
        self._key = key
        _check_certificate(certificate, self.chain, private_key, key)

    def sign(self, data: bytes) -> bytes:
        """The signature as COSE has it: of ECDSA, the two numbers one after the other."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        der = self._key.sign(data, ec.ECDSA(self._hash, deterministic_signing=True))
        num_bytes = (self._key.curve.key_size + 7) // 8
        return b"".join(number.to_bytes(num_bytes) for number in decode_dss_signature(der))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None


def _load_key(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(
            f"{path} is not a private key in PEM format without a password"
        ) from None


def _check_certificate(
    path: Path,
    chain: bytes,
    private_key: Path,
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise SettingsError(f"{path} is not a chain of certificates in PEM format") from None
    if first.public_key() != key.public_key():
        raise SettingsError(
            f"{private_key} is not the key of the first certificate in {path}; the certificate of"
            " the signer comes first"
        )
    expires = first.not_valid_after_utc
    if expires - datetime.now(UTC) < _WARNING:
        logger.warning("the certificate in %s expires on %s", path, expires.date())
