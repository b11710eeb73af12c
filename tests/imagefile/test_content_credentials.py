"""Content Credentials: valid by the reference library, and the same for the same image."""

from __future__ import annotations

import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from daguerre.errors import SettingsError, UnavailableError
from daguerre.imagefile import manifest_store, trial_certificate, xmp
from daguerre.imagefile.content_credentials import ContentCredentials
from daguerre.imagefile.encoding import FORMATS, encode
from daguerre.params import GeneratedImage, ImageParams, ModelInfo

MODEL = ModelInfo("flat", "ab" * 32, created=1, name="daguerre flat 5")


def image(output_format: str = "png", value: int = 7) -> GeneratedImage:
    pixels = np.full((40, 64, 3), value, np.uint8)
    return GeneratedImage(pixels, ImageParams("flat", "x", output_format=output_format), MODEL)


def signed(credentials: ContentCredentials, output_format: str = "png", value: int = 7) -> bytes:
    return encode(image(output_format, value), with_prompt=False, credentials=credentials)


def read(file: bytes, output_format: str = "png") -> tuple[str, dict[str, Any]]:
    """The state of the validation, and the manifest."""
    with c2pa.Reader(FORMATS[output_format].media_type, io.BytesIO(file)) as reader:
        store = json.loads(reader.json())
        return reader.get_validation_state(), store["manifests"][store["active_manifest"]]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The files of the trial certificate."""
    folder = tmp_path_factory.mktemp("trial")
    paths = folder / "chain.pem", folder / "key.pem"
    for path, text in zip(paths, trial_certificate.make_chain(), strict=True):
        path.write_text(text)
    return paths


@pytest.fixture
def credentials(trial: tuple[Path, Path]) -> ContentCredentials:
    return ContentCredentials(*trial)


@pytest.mark.parametrize("output_format", FORMATS)
def test_manifest(credentials: ContentCredentials, output_format: str) -> None:
    """The manifest is valid, and says that this model made the image."""
    file = signed(credentials, output_format)
    state, manifest = read(file, output_format)
    assert state == "Valid"
    assert manifest["claim_generator_info"][0]["name"] == "daguerre"
    [assertion] = manifest["assertions"]
    assert assertion["label"] == "c2pa.actions.v2"
    [action] = assertion["data"]["actions"]
    assert action == {
        "action": "c2pa.created",
        "digitalSourceType": xmp.TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": {"name": "daguerre flat 5", "version": "sha256:" + "ab" * 32},
    }
    plain = encode(image(output_format), with_prompt=False)
    with Image.open(io.BytesIO(file)) as opened, Image.open(io.BytesIO(plain)) as expected:
        assert opened.tobytes() == expected.tobytes()
    assert xmp.TRAINED_ALGORITHMIC_MEDIA.encode() in file
    assert len(file) - len(plain) < 20_000


@pytest.mark.parametrize("output_format", FORMATS)
def test_same_bytes(trial: tuple[Path, Path], output_format: str) -> None:
    """The same image gives the same file, also in another server and in parallel."""
    servers = [ContentCredentials(*trial) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        files = {*pool.map(lambda n: signed(servers[n % 2], output_format), range(12))}
    assert len(files) == 1
    assert files != {signed(servers[0], output_format, value=8)}


def test_file_from_another_machine(credentials: ContentCredentials) -> None:
    """A file that another machine has encoded gets the same signature as here."""
    plain = encode(image(), with_prompt=False)
    sent = replace(image(), pixels=np.empty((0, 0, 3), np.uint8), file=plain)
    assert encode(sent, with_prompt=False, credentials=credentials) == signed(credentials)


def test_each_image_has_its_own_id(credentials: ContentCredentials) -> None:
    """Manifests of different images have different IDs."""
    manifests = [read(signed(credentials, value=value))[1] for value in (7, 8)]
    assert len({manifest["label"] for manifest in manifests}) == 2
    assert len({manifest["instance_id"] for manifest in manifests}) == 2


@pytest.mark.parametrize("changed", [b"IDAT", b"c2pa.created"])
def test_change_is_noticed(credentials: ContentCredentials, changed: bytes) -> None:
    """A change of the pixels or of the manifest makes it invalid."""
    file = bytearray(signed(credentials))
    file[file.index(changed) + len(changed) + 1] ^= 1
    try:
        assert read(bytes(file))[0] == "Invalid"
    except c2pa.C2paError:  # it cannot even be read
        assert changed == b"c2pa.created"


def write_chain(folder: Path, key: Any, **options: Any) -> tuple[Path, Path]:
    """A chain for `key`, with `days` of validity from and to now, and `purpose`."""
    begin, end = options.get("days", (-1, 90))
    root_key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    root, name = (
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x"),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )
        for common in ("root", "signer")
    )
    uses = dict.fromkeys(trial_certificate._KEY_USES, False) | {"digital_signature": True}
    made = (
        x509.CertificateBuilder(root if "root" not in options else name, name, key.public_key(), 7)
        .not_valid_before(now + timedelta(days=begin))
        .not_valid_after(now + timedelta(days=end))
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(x509.KeyUsage(**uses), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.ExtendedKeyUsage([options.get("purpose", ExtendedKeyUsageOID.EMAIL_PROTECTION)]),
            False,
        )
        .sign(root_key, hashes.SHA256())
    )
    chain, file = folder / "c.pem", folder / "k.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encryption: Any = options.get("encryption", serialization.NoEncryption())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, pkcs8, encryption))
    return chain, file


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_ecdsa(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    """ECDSA, which most authorities certify, is deterministic, too."""
    paths = write_chain(tmp_path, ec.generate_private_key(curve))
    first, second = (signed(ContentCredentials(*paths)) for _ in range(2))
    assert first == second and read(first)[0] == "Valid"


def test_rsa(tmp_path: Path) -> None:
    """A key whose signatures are random is refused."""
    paths = write_chain(tmp_path, rsa.generate_private_key(65537, 2048))
    with pytest.raises(SettingsError, match=r"k\.pem has a key of another kind; it must be Ed255"):
        ContentCredentials(*paths)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"days": (-9, -1)}, "not valid at time of signing"),
        ({"days": (1, 9)}, "not valid at time of signing"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "the certificate is invalid"),
        ({"encryption": serialization.BestAvailableEncryption(b"x")}, "without a password"),
    ],
)
def test_bad_certificate(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    """A certificate that C2PA does not allow is an error with the file and the reason."""
    paths = write_chain(tmp_path, ed25519.Ed25519PrivateKey.generate(), **options)
    with pytest.raises(SettingsError, match=words) as caught:
        ContentCredentials(*paths)
    assert str(tmp_path) in caught.value.message and "\n" not in caught.value.message


def test_swapped_files(trial: tuple[Path, Path], tmp_path: Path) -> None:
    """A missing file, a file in the wrong place and another key are named."""
    chain, key = trial
    other = tmp_path / "other.pem"
    other.write_text(trial_certificate.make_chain()[1])
    with pytest.raises(SettingsError, match=r"other\.pem is not the key of the first certificate"):
        ContentCredentials(chain, other)
    with pytest.raises(SettingsError, match=r"key\.pem is not a chain of certificates"):
        ContentCredentials(key, key)
    with pytest.raises(SettingsError, match=r"chain\.pem is not a private key"):
        ContentCredentials(chain, chain)
    with pytest.raises(SettingsError, match=r"cannot read .*none\.pem: No such file"):
        ContentCredentials(tmp_path / "none.pem", key)


def test_expiry_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate that soon expires causes a warning."""
    paths = write_chain(tmp_path, ed25519.Ed25519PrivateKey.generate(), days=(-1, 20))
    with caplog.at_level(logging.WARNING):
        ContentCredentials(*paths)
    [record] = caplog.records
    assert "c.pem expires on" in record.getMessage()


def test_failure_while_serving(
    credentials: ContentCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If signing fails later, for example after the expiry, there is no image without it."""

    def fail(*_: object) -> None:
        raise c2pa.C2paError("the certificate was not valid at time of signing")

    monkeypatch.setattr(c2pa.Builder, "sign", fail)
    with pytest.raises(UnavailableError, match="the image cannot be signed") as caught:
        signed(credentials)
    assert isinstance(caught.value.__cause__, c2pa.C2paError)


def test_unknown_store() -> None:
    """A store of another form is an error, not a file without a valid signature."""
    salted = b"\x00\x00\x00\x20jumd" + b"\x00\x00\x00\x18c2sh" + b"0123456789abcdef"
    box = (8 + len(salted)).to_bytes(4) + b"jumb" + salted
    with pytest.raises(ValueError, match="not as expected"):
        manifest_store.without_salts(box, b"signed without the digest of the box")
    with pytest.raises(ValueError, match="another form"):
        manifest_store.without_salts(bytes(16), b"")
    with pytest.raises(ValueError, match="not as expected"):
        manifest_store.embed(b"file", b"before", b"after!")
