"""The server signs its images, if it has a certificate."""

from __future__ import annotations

import base64
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import c2pa
import pytest
from conftest import FakeEngine, error_of, running

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.imagefile import trial_certificate
from daguerre.server.app import create_app
from daguerre.storage.resources import ResourceStore


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """The settings that name a certificate and its key."""
    paths = {"c2pa_certificate": tmp_path / "chain.pem", "c2pa_private_key": tmp_path / "key.pem"}
    for path, text in zip(paths.values(), trial_certificate.make_chain(), strict=True):
        path.write_text(text)
    return paths


def test_signed_images(files: dict[str, Any], tmp_path: Path) -> None:
    """An image and its replay are signed with the same bytes, also in a stream and by URL."""
    with running(tmp_path / "home", **files) as server:
        answers = [server.generate(seed=3) for _ in range(2)]
        image, again = (base64.b64decode(a.json()["data"][0]["b64_json"]) for a in answers)
        url = server.generate(seed=3, response_format="url").json()["data"][0]["url"]
        streamed = server.generate(seed=3, stream=True).text
        assert image == again == server.client.get(url).content
        assert base64.b64encode(image).decode() in streamed
    with c2pa.Reader("image/png", io.BytesIO(image)) as reader:
        assert reader.get_validation_state() == "Valid"


def test_signing_fails(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that cannot be signed is not sent."""

    def fail(*_: object) -> None:
        raise c2pa.C2paError("expired")

    with running(tmp_path / "home", **files) as server:
        monkeypatch.setattr(c2pa.Builder, "sign", fail)
        answer = server.generate()
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert error_of(answer)["message"] == "the image cannot be signed"


def create(settings: Settings) -> None:
    resources = ResourceStore.open("", settings.data_dir())
    try:
        create_app(settings, FakeEngine(), resources)
    finally:
        resources.close()


def test_only_one_file(files: dict[str, Any], settings: Settings) -> None:
    """A certificate without its key, or a key without a certificate, is an error."""
    for name, path in files.items():
        with pytest.raises(SettingsError, match="only one of c2pa_certificate and c2pa_private"):
            create(replace(settings, **{name: path}))


def test_without_the_extra(
    files: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library, the error names the extra."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    monkeypatch.delitem(sys.modules, "daguerre.imagefile.content_credentials", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'daguerre\[c2pa\]'"):
        create(replace(settings, **files))
