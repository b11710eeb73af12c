"""`daguerre certificate`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import mode

from daguerre.cli.certificate import CERTIFICATE, PRIVATE_KEY
from daguerre.imagefile.content_credentials import ContentCredentials


def test_certificate(run: Callable[..., str], fails: Callable[..., str], tmp_path: Path) -> None:
    """It can sign at once, is private, and is not replaced."""
    words = run("certificate", "new/trial")
    certificate, key = tmp_path / "new/trial" / CERTIFICATE, tmp_path / "new/trial" / PRIVATE_KEY
    assert words.endswith(
        "daguerre serve --c2pa-certificate new/trial/c2pa_certificate.pem"
        " --c2pa-private-key new/trial/c2pa_private_key.pem\n"
    )
    assert mode(key) == 0o600
    ContentCredentials(certificate, key)
    before = key.read_bytes()
    assert "exists already; choose another directory" in fails("certificate", "new/trial")
    assert key.read_bytes() == before


def test_bad_directory(fails: Callable[..., str], tmp_path: Path) -> None:
    """A directory that cannot be created is an error of one line."""
    (tmp_path / "file").write_text("")
    assert "cannot create file/trial: Not a directory" in fails("certificate", "file/trial")


def test_without_the_extra(fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, the error names the extra."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "daguerre.imagefile.trial_certificate", raising=False)
    assert "pip install 'daguerre[c2pa]'" in fails("certificate", "trial")
