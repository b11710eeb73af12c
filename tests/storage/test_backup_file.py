"""The file of a backup: private, whole or absent, and verified."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from conftest import mode

from daguerre.errors import SettingsError
from daguerre.storage.backup_file import MANIFEST, reading, writing


def write(path: Path, **entries: bytes) -> Path:
    with writing(path) as writer:
        for name, data in entries.items():
            writer.add(f"files/{name}", io.BytesIO(data))
        writer.finish(schema=3)
    return path


def rewrite(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    """Writes an archive with these members, as another program could."""
    with tarfile.open(path, "w") as archive:
        for member, data in members:
            header = tarfile.TarInfo(member) if isinstance(member, str) else member
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return path


def manifest(**entries: object) -> bytes:
    return json.dumps({"schema": 1, "entries": entries}).encode()


def test_round_trip(tmp_path: Path) -> None:
    """Entries are read as they were written, by the owner only."""
    path = write(tmp_path / "b.tar", one=b"1" * 70_000, two=b"")
    assert mode(path) == 0o600 and [p.name for p in tmp_path.iterdir()] == ["b.tar"]
    with reading(path) as backup:
        assert backup.names("files") == ["one", "two"] and backup.names("images") == []
        assert backup.manifest.schema == 3
        assert backup.open("files/one").read() == b"1" * 70_000
        assert backup.open("files/two").read() == b""


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """A backup that fails changes nothing."""
    path = write(tmp_path / "b.tar", one=b"1")
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), writing(path) as writer:
        writer.add("files/two", io.BytesIO(b"2"))
        raise KeyboardInterrupt
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["b.tar"]


def test_other_files_stay(tmp_path: Path) -> None:
    """Only a backup is replaced: not another file, a directory or a device."""
    other = tmp_path / "daguerre.db"
    other.write_bytes(b"rows")
    for path in (other, tmp_path, Path("/dev/null")):
        with pytest.raises(SettingsError, match="exists, and is not a backup"):
            write(path)
    assert other.read_bytes() == b"rows"


def test_every_truncation(tmp_path: Path) -> None:
    """A file without its end is damaged, wherever it ends."""
    whole = write(tmp_path / "b.tar", one=b"1" * 600, two=b"2").read_bytes()
    end_of_manifest = whole.rindex(b"}") + 1
    part = tmp_path / "part.tar"
    for length in range(0, end_of_manifest, 97):
        part.write_bytes(whole[:length])
        with pytest.raises(SettingsError, match=r"part\.tar is not a backup, or damaged"):
            with reading(part):
                pass


def test_every_changed_byte(tmp_path: Path) -> None:
    """A changed byte of an entry is noticed."""
    path = write(tmp_path / "b.tar", one=b"content")
    whole = bytearray(path.read_bytes())
    at = whole.index(b"content")
    for index in range(at, at + 7):
        whole[index] ^= 1
        path.write_bytes(whole)
        with pytest.raises(SettingsError, match="files/one is not as in the manifest"):
            with reading(path):
                pass
        whole[index] ^= 1


LINK = tarfile.TarInfo("files/link")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "/etc/passwd"
EMPTY = {"num_bytes": 0, "sha256": hashlib.sha256().hexdigest()}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "no manifest|empty"),
        ([("files/one", b"")], "no manifest"),
        ([(LINK, b""), (MANIFEST, manifest())], "files/link is not one file"),
        ([("files/a", b""), ("files/a", b""), (MANIFEST, manifest())], "files/a is not one file"),
        ([("files/a", b""), (MANIFEST, manifest())], "files/a is not as in the manifest"),
        ([(MANIFEST, manifest(**{"files/a": EMPTY}))], "files/a is not as in the manifest"),
        ([("../a", b""), (MANIFEST, manifest(**{"../a": EMPTY}))], r"\.\./a is not as in the"),
        ([("files/..", b""), (MANIFEST, manifest(**{"files/..": EMPTY}))], "is not as in the"),
        *(
            ([(MANIFEST, text)], "the manifest is not as expected")
            for text in (b"{}", b"[1]", b"1", b"\xff", b'{"entries": {}}', manifest(a={"size": 1}))
        ),
    ],
)
def test_other_archives(
    members: list[tuple[tarfile.TarInfo | str, bytes]], reason: str, tmp_path: Path
) -> None:
    """An archive that is not as a backup is an error of one line."""
    path = rewrite(tmp_path / "b.tar", members)
    with pytest.raises(SettingsError, match=reason) as caught, reading(path):
        pass
    assert "b.tar is not a backup, or damaged" in caught.value.message
    assert "\n" not in caught.value.message


def test_later_format(tmp_path: Path) -> None:
    """A backup in another format names the version that wrote it."""
    text = b'{"schema": 1, "entries": {}, "format": 9, "daguerre": "7.0"}'
    path = rewrite(tmp_path / "b.tar", [(MANIFEST, text)])
    with pytest.raises(SettingsError, match=r"has the format 9 .* of daguerre 7\.0"), reading(path):
        pass


def test_unreadable_paths(tmp_path: Path) -> None:
    """A path that cannot be read or written is named."""
    with pytest.raises(SettingsError, match=r"cannot read .*none\.tar: No such file"):
        with reading(tmp_path / "none.tar"):
            pass
    with pytest.raises(SettingsError, match=r"cannot write .*none/b\.tar: No such file"):
        write(tmp_path / "none" / "b.tar")
