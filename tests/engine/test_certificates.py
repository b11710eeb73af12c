"""The file that keeps certificates over a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daguerre.engine.certificates import Certificate, Certificates, Claim

CLAIM = Claim("weights on cpu", "denoiser(x float32[3])", (2, 2))
HELD = Certificate(is_exact=True, cost=1.25)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "certificates.json"


def test_kept_over_a_restart(path: Path) -> None:
    """What was certified is known to the next process, and nothing else is in the folder."""
    Certificates(path).put(CLAIM, HELD)
    assert Certificates(path).get(CLAIM) == HELD
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_fingerprint_knows_nothing(path: Path) -> None:
    """Other weights, another device or runtime start without certificates."""
    Certificates(path).put(CLAIM, HELD)
    again = Certificates(path)
    assert again.get(CLAIM._replace(fingerprint="weights on gpu")) is None
    assert again.held({"weights on gpu"}) == {}
    assert again.held({CLAIM.fingerprint}) == {CLAIM.label: True}


def test_refusal_is_forgotten_at_the_next_start(path: Path) -> None:
    """An error is no proof: it keeps a claim from use in this process, and out of the file."""
    certificates = Certificates(path)
    certificates.refuse(CLAIM)
    certificates.put(CLAIM._replace(rows=(2, 2, 2)), HELD)
    refused = certificates.get(CLAIM)
    assert refused is not None and not refused.is_exact
    assert Certificates(path).get(CLAIM) is None


ENTRY = {**CLAIM._asdict(), "is_exact": True, "cost": 1.25}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\x00",
        "[]",
        "{}",
        '{"version": 1}',
        json.dumps({"version": 0, "certificates": [ENTRY]}),
        json.dumps({"version": 1, "certificates": [{**ENTRY, "is_exact": "true"}]}),
        json.dumps({"version": 1, "certificates": [{**ENTRY, "rows": [2, "2"]}]}),
        json.dumps({"version": 1, "certificates": [ENTRY, "more"]}),
    ],
)
def test_damaged_or_foreign_file_starts_over(path: Path, content: str) -> None:
    """Whatever is in the file, it is read as no certificates, and replaced by the next one."""
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    certificates = Certificates(path)
    assert certificates.get(CLAIM) is None
    certificates.put(CLAIM, HELD)
    assert Certificates(path).get(CLAIM) == HELD


def test_undamaged_file_of_the_same_entry_is_read(path: Path) -> None:
    """The entry that the damaged files hold is good by itself."""
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "certificates": [ENTRY]}), encoding="utf-8")
    assert Certificates(path).get(CLAIM) == HELD


def test_two_processes_keep_both(path: Path) -> None:
    """A process that writes keeps what another wrote since it started."""
    one, other = Certificates(path), Certificates(path)
    more = CLAIM._replace(rows=(2, 2, 2))
    one.put(CLAIM, HELD)
    other.put(more, HELD)
    again = Certificates(path)
    assert again.get(CLAIM) == again.get(more) == HELD


def test_old_file_survives_a_write_that_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that refuses costs a warning: the old file is whole, the new certificate is used."""
    certificates = Certificates(path)
    certificates.put(CLAIM, HELD)

    def full(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    more = CLAIM._replace(rows=(2, 2, 2))
    certificates.put(more, HELD)
    assert certificates.get(more) == HELD
    assert "no space left" in caplog.text
    assert Certificates(path).get(CLAIM) == HELD
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
