"""The file that keeps certificates over a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daguerre.engine.batching.certificates import FILE_VERSION, BatchConfig, CertificateStore

CLAIM = BatchConfig("weights on cpu", "denoiser(x float32[3])", (2, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "certificates.json"


def test_kept_over_a_restart(path: Path) -> None:
    """What was certified is known to the next process, and nothing else is in the folder."""
    CertificateStore(path).put(CLAIM, True)
    assert CertificateStore(path).get(CLAIM) is True
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_fingerprint_knows_nothing(path: Path) -> None:
    """Other weights, another device or runtime start without certificates."""
    CertificateStore(path).put(CLAIM, True)
    again = CertificateStore(path)
    assert again.get(CLAIM._replace(fingerprint="weights on gpu")) is None
    assert again.held({"weights on gpu"}) == {}
    assert again.held({CLAIM.fingerprint}) == {CLAIM.label: True}


def test_refusal_is_forgotten_at_the_next_start(path: Path) -> None:
    """An error is no proof: it keeps a claim from use in this process, and out of the file."""
    certificates = CertificateStore(path)
    certificates.refuse(CLAIM)
    certificates.put(CLAIM._replace(rows=(2, 2, 2)), True)
    assert certificates.get(CLAIM) is False
    assert CertificateStore(path).get(CLAIM) is None


ENTRY = {**CLAIM._asdict(), "is_exact": True}


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
    ],
)
def test_damaged_or_foreign_file_starts_over(path: Path, content: str) -> None:
    """Whatever is in the file, it is read as no certificates, and replaced by the next one."""
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    certificates = CertificateStore(path)
    assert certificates.get(CLAIM) is None
    certificates.put(CLAIM, True)
    assert CertificateStore(path).get(CLAIM) is True


def test_undamaged_file_of_the_same_entry_is_read(path: Path) -> None:
    """The entry that the damaged files hold is good by itself."""
    path.parent.mkdir()
    path.write_text(content_of(ENTRY), encoding="utf-8")
    assert CertificateStore(path).get(CLAIM) is True


def test_two_processes_keep_both(path: Path) -> None:
    """A process that writes keeps what another wrote since it started."""
    one, other = CertificateStore(path), CertificateStore(path)
    more = CLAIM._replace(rows=(2, 2, 2))
    one.put(CLAIM, True)
    other.put(more, True)
    again = CertificateStore(path)
    assert again.get(CLAIM) is again.get(more) is True


def test_old_file_survives_a_write_that_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that refuses costs a warning: the old file is whole, the new certificate is used."""
    certificates = CertificateStore(path)
    certificates.put(CLAIM, True)

    def full(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    more = CLAIM._replace(rows=(2, 2, 2))
    certificates.put(more, True)
    assert certificates.get(more) is True
    assert "no space left" in caplog.text
    assert CertificateStore(path).get(CLAIM) is True
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_writers_of_one_process_number(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two containers that share a folder, both process 1, write at once and neither takes away the
    other's half-written file (a bug was)."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    more, replace = CLAIM._replace(rows=(2, 2, 2)), os.replace

    def replace_later(*names: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        CertificateStore(path).put(more, True)
        replace(*names)

    monkeypatch.setattr(os, "replace", replace_later)
    CertificateStore(path).put(CLAIM, True)
    assert CertificateStore(path).get(CLAIM) is True
    assert caplog.text == ""
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
