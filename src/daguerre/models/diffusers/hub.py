"""Checkpoints from a hub: the commit that names one, and its place in the data directory.

Nothing here needs a network; `hub_download` downloads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daguerre.validation import pattern

DIR_NAME = "checkpoints"

_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
REPOSITORY = pattern(f"{_NAME}/{_NAME}", 'the name of a repository, such as "owner/name"')
REVISION = pattern(
    "[0-9a-f]{40}", "the 40 hexadecimal digits of a commit; branches and tags can move"
)


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """A commit of a repository: unlike branches and tags, it never changes."""

    repository: str  # "owner/name"
    revision: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision[:8]}"


def folder(home: Path, pin: PinnedRevision) -> Path:
    """Directory of the checkpoint, which exists after `pull`."""
    return _folder_of_all(home, pin.repository) / pin.revision


def pulled_commits(home: Path, repository: str) -> list[str]:
    """The commits of a repository that were pulled."""
    found = _folder_of_all(home, repository).glob("*")
    return sorted(path.name for path in found if REVISION.accepts(path.name))


def _folder_of_all(home: Path, repository: str) -> Path:
    return home / DIR_NAME / repository.replace("/", "--")
