"""Content Credentials: a signed C2PA manifest in each file.

The manifest says that a model made the image, and which. The same file gives the same manifest: its
IDs follow from the file, `manifest_store` removes the random salts, and it has no time stamp.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from pathlib import Path

import c2pa
import numpy as np

from daguerre.errors import SettingsError, UnavailableError
from daguerre.imagefile import jpeg, manifest_store, png, xmp
from daguerre.imagefile.signing_key import SigningKey
from daguerre.params import ModelInfo
from daguerre.version import __version__

_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False},  # `_check` does, once
}
_PROBE_MODEL = ModelInfo("probe", weights_sha256="0" * 64, created=0)
_PROBE_FORMATS = {"image/png": png.encode, "image/jpeg": jpeg.encode}


class ContentCredentials:
    """Signs files with a certificate chain and its key, both PEM files.

    `digest` identifies the chain. Raises `SettingsError` if they cannot sign.
    """

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self._key = SigningKey(certificate, private_key)
        self.digest = hashlib.sha256(self._key.chain).hexdigest()
        try:
            self._check()
        except (c2pa.C2paError, ValueError) as error:
            raise SettingsError(
                f"{certificate} cannot sign Content Credentials: {error}; C2PA needs a certificate"
                " for signing, with its chain"
            ) from None

    def sign(self, file: bytes, media_type: str, model: ModelInfo) -> bytes:
        """The file with its manifest. Raises `UnavailableError`, for example after the expiry."""
        try:
            return self._sign(file, media_type, model)
        except (c2pa.C2paError, ValueError) as error:
            raise UnavailableError("the image cannot be signed", retry_after_s=5) from error

    def _sign(self, file: bytes, media_type: str, model: ModelInfo) -> bytes:
        signed: list[tuple[bytes, bytes]] = []

        def sign(data: bytes) -> bytes:
            signed.append((data, self._key.sign(data)))
            return signed[-1][1]

        algorithm = c2pa.C2paSigningAlg[self._key.algorithm]
        output = io.BytesIO()
        with (
            c2pa.Context.from_dict(_SETTINGS) as context,
            c2pa.Signer.from_callback(sign, algorithm, self._key.chain) as signer,
            c2pa.Builder(_manifest(file, media_type, model), context) as builder,
        ):
            store = builder.sign(signer, media_type, io.BytesIO(file), output)
        ((data, signature),) = signed
        changed, new_data = manifest_store.without_salts(store, data)
        changed = manifest_store.replace_once(changed, signature, self._key.sign(new_data))
        return manifest_store.embed(output.getvalue(), store, changed)

    def _check(self) -> None:
        """Raises an error unless signed files are valid and the same each time."""
        for media_type, encode in _PROBE_FORMATS.items():
            file = encode(np.zeros((8, 8, 3), np.uint8), 90, xmp.ai_marker(), "")
            signed = self._sign(file, media_type, _PROBE_MODEL)
            if signed != self._sign(file, media_type, _PROBE_MODEL):
                raise ValueError("its signatures are not the same each time")
            with c2pa.Reader(media_type, io.BytesIO(signed)) as reader:
                if reader.get_validation_state() not in ("Valid", "Trusted"):
                    raise ValueError("its signatures are not valid")


def _manifest(file: bytes, media_type: str, model: ModelInfo) -> dict[str, object]:
    identifier = uuid.UUID(bytes=hashlib.sha256(file).digest()[:16], version=4)
    created = {
        "action": "c2pa.created",
        "digitalSourceType": xmp.TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": {
            "name": model.name or model.id,
            "version": f"sha256:{model.weights_sha256}",
        },
    }
    return {
        "label": f"urn:c2pa:{identifier}",
        "instance_id": f"xmp:iid:{identifier}",
        "format": media_type,
        "claim_generator_info": [{"name": "daguerre", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }
