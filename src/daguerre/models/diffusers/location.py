"""Where a checkpoint is that a user names: a path, or a repository that was pulled.

Nothing is read but the names of directories; `diffusers.checkpoint` reads the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers import hub
from daguerre.models.diffusers.component_files import WEIGHTS

ACCEPTED = (
    f"the path of a directory in diffusers format or of a {WEIGHTS} file, or a repository that was"
    ' pulled, such as "owner/name"'
)
_MAX_ID_CHARS = 200
_COMMIT_CHARS = 8  # of a commit in messages
# A cache of a hub: `models--owner--name/snapshots/<commit>`, and `refs/main` with a commit.
_CACHE_PREFIX, _SNAPSHOTS = "models--", "snapshots"
_SEPARATOR = "--"


@dataclass(frozen=True, slots=True)
class CheckpointLocation:
    """`path` is absolute, `name` that of the repository, directory or file.

    `pin` is the commit of a repository that was pulled.
    """

    path: Path
    name: str
    pin: hub.PinnedRevision | None = None

    @property
    def full_name(self) -> str:
        """The name, with the owner of a repository."""
        return self.pin.repository if self.pin else self.name

    @property
    def model_id(self) -> str:
        """The name as a model ID, which has no spaces."""
        text = "".join(char if char.isprintable() else " " for char in self.name)
        return re.sub(r"\s+", "-", text.strip())[:_MAX_ID_CHARS] or "model"


def find(text: str, data_dir: Path) -> CheckpointLocation:
    """The location that `text` names; an existing path has priority over a repository.

    Raises `SettingsError` if there is neither.
    """
    path = Path(os.path.expanduser(text)).absolute()
    if text and os.path.lexists(path):
        path = _snapshot(path)
        return CheckpointLocation(path, name_of(path))
    repository, _, revision = text.partition("@")
    if hub.REPOSITORY.accepts(repository):
        return _find_pulled(text, repository, revision, data_dir)
    raise SettingsError(f"{text!r} does not exist; it must be {ACCEPTED}")


def of_pin(data_dir: Path, pin: hub.PinnedRevision) -> CheckpointLocation:
    """The location of a pulled commit."""
    return CheckpointLocation(hub.folder(data_dir, pin), pin.repository.partition("/")[2], pin)


def catalog_keys(found: CheckpointLocation) -> dict[str, object]:
    """The keys of the catalog's table: an absolute path, or a commit."""
    if found.pin is None:
        return {"source": "diffusers", "path": str(found.path)}
    return {"source": "diffusers", "repo": found.pin.repository, "revision": found.pin.revision}


def is_location(text: str) -> bool:
    """Whether `text` looks like a path or a repository, and not like a model ID."""
    return os.path.lexists(os.path.expanduser(text)) or "/" in text or text.endswith(WEIGHTS)


def name_of(path: Path) -> str:
    """Name of a file without its suffix, or of a directory; of a commit that of its repository."""
    path = Path(os.path.abspath(path))  # without symbolic links: in a cache they lead to digests
    parents = [parent.name for parent in path.parents]
    if hub.REVISION.accepts(path.name) and len(parents) > 1:
        owner_and_name = parents[1] if parents[0] == _SNAPSHOTS else parents[0]
        if _SEPARATOR in owner_and_name:
            return owner_and_name.rpartition(_SEPARATOR)[2]
    return path.name.removesuffix(WEIGHTS)


def _snapshot(path: Path) -> Path:
    """The newest snapshot of a hub's cache; any other path is returned as it is."""
    root = path.parent if path.name == _SNAPSHOTS else path
    if not root.name.startswith(_CACHE_PREFIX) or not (root / _SNAPSHOTS).is_dir():
        return path
    snapshots = sorted(entry for entry in (root / _SNAPSHOTS).iterdir() if entry.is_dir())
    main = root / "refs" / "main"
    newest = main.read_text(errors="replace").strip() if main.is_file() else ""
    named = [snapshot for snapshot in snapshots if snapshot.name == newest] or snapshots
    if len(named) != 1:
        found = ", ".join(map(str, snapshots)) or "none"
        raise SettingsError(f"{path} is a hub's cache; give one of its snapshots: {found}")
    return named[0]


def _cache_of_user() -> Path:
    """The directory in which huggingface_hub stores what other programs download."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")))


def _find_pulled(text: str, repository: str, revision: str, data_dir: Path) -> CheckpointLocation:
    commits = hub.pulled_commits(data_dir, repository)
    chosen = [commit for commit in commits if commit.startswith(revision)]
    if len(chosen) == 1:
        return of_pin(data_dir, hub.PinnedRevision(repository, chosen[0]))
    if not commits:
        cached = _cache_of_user() / f"{_CACHE_PREFIX}{repository.replace('/', _SEPARATOR)}"
        also = f", or give its path in the cache of the hub, {cached}" if cached.is_dir() else ""
        raise SettingsError(
            f"{text!r} does not exist, and no repository of this name is downloaded; it must be"
            f" {ACCEPTED}; to download it, run: daguerre pull {text}{also}"
        )
    shown = _names(repository, commits)
    if not chosen:
        raise SettingsError(
            f"{text} is not downloaded; downloaded: {shown}; to download it, run: daguerre pull"
            f" {text}"
        )
    raise SettingsError(f"{text} is downloaded {len(chosen)} times; give one of: {shown}")


def _names(repository: str, commits: Sequence[str]) -> str:
    return ", ".join(f"{repository}@{commit[:_COMMIT_CHARS]}" for commit in commits)
