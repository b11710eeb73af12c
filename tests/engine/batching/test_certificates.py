"""The file that stores certificates."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daguerre.engine.batching.certificates import FILE_VERSION, BatchConfig, CertificateStore

CONFIG = BatchConfig("weights on cpu", "denoiser(x float32[3])", (2, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "certificates.json"


def test_certificates_survive_a_restart(path: Path) -> None:
    """The next process reads the certificates, and no other file is in the directory."""
    CertificateStore(path).put(CONFIG, True)
    assert CertificateStore(path).get(CONFIG) is True
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_fingerprint_has_no_certificates(path: Path) -> None:
    """Other weights, another device or another runtime have no certificates."""
    CertificateStore(path).put(CONFIG, True)
    again = CertificateStore(path)
    assert again.get(CONFIG._replace(fingerprint="weights on gpu")) is None
    assert again.results({"weights on gpu"}) == {}
    assert again.results({CONFIG.fingerprint}) == {CONFIG.label: True}


def test_failure_is_not_stored(path: Path) -> None:
    """A failure disables a batch in this process, and is not written to the file."""
    certificates = CertificateStore(path)
    certificates.mark_failed(CONFIG)
    certificates.put(CONFIG._replace(rows=(2, 2, 2)), True)
    assert certificates.get(CONFIG) is False
    assert CertificateStore(path).get(CONFIG) is None


ENTRY = {**CONFIG._asdict(), "is_exact": True}


def content_of(*entries: object, version: int = FILE_VERSION) -> str:
    return json.dumps({"version": version, "certificates": entries})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\x00",
        "[]",
        "{}",
        json.dumps({"version": FILE_VERSION}),
        content_of({**ENTRY, "cost": 1.25}, version=1),
        content_of({**ENTRY, "is_exact": "true"}),
        content_of({**ENTRY, "rows": [2, "2"]}),
        content_of(ENTRY, "more"),
        "[" * 100_000,
    ],
)
def test_damaged_or_foreign_file_is_replaced(path: Path, content: str) -> None:
    """A damaged file counts as empty, and the next certificate replaces it."""
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    certificates = CertificateStore(path)
    assert certificates.get(CONFIG) is None
    certificates.put(CONFIG, True)
    assert CertificateStore(path).get(CONFIG) is True


def test_valid_file_with_the_same_entry_is_read(path: Path) -> None:
    """The entry in the damaged files above is valid by itself."""
    path.parent.mkdir()
    path.write_text(content_of(ENTRY), encoding="utf-8")
    assert CertificateStore(path).get(CONFIG) is True


def test_two_processes_merge_their_certificates(path: Path) -> None:
    """A process that writes keeps what another process has written since it started."""
    one, other = CertificateStore(path), CertificateStore(path)
    more = CONFIG._replace(rows=(2, 2, 2))
    one.put(CONFIG, True)
    other.put(more, True)
    again = CertificateStore(path)
    assert again.get(CONFIG) is again.get(more) is True


def test_old_file_survives_a_failed_write(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed write is logged. The old file stays intact, and the new certificate is used."""
    certificates = CertificateStore(path)
    certificates.put(CONFIG, True)

    def full(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    more = CONFIG._replace(rows=(2, 2, 2))
    certificates.put(more, True)
    assert certificates.get(more) is True
    assert "no space left" in caplog.text
    assert CertificateStore(path).get(CONFIG) is True
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_writers_with_equal_process_ids(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two containers that share a directory, both process 1, write at once, and neither deletes the
    other's temporary file (a former bug)."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    more, replace = CONFIG._replace(rows=(2, 2, 2)), os.replace

    def replace_later(*names: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        CertificateStore(path).put(more, True)
        replace(*names)

    monkeypatch.setattr(os, "replace", replace_later)
    CertificateStore(path).put(CONFIG, True)
    assert CertificateStore(path).get(CONFIG) is True
    assert caplog.text == ""
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
