"""Checkpoints from a hub: their place in the data directory, and their download.

`daguerre models pull` downloads a checkpoint completely or not at all: its directory gets its name
after every file is there and matches the hub's size and digest. Only files that are loaded are
downloaded, never code. The server calls only `folder`, which needs no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.component_files import select_files
from daguerre.validation import pattern

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DIR_NAME = "checkpoints"
Progress = Callable[[str, int], None]  # (name of a file, its size in bytes)

_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
REPOSITORY = pattern(f"{_NAME}/{_NAME}", 'the name of a repository, such as "owner/name"')
REVISION = pattern(
    "[0-9a-f]{40}", "the 40 hexadecimal digits of a commit; branches and tags can move"
)

_ERRORS: Mapping[str, str] = {  # class of huggingface_hub -> message, with the pin
    "GatedRepoError": "the repository is gated; accept its terms on the page of {0.repository} and"
    " set HF_TOKEN",
    "RepositoryNotFoundError": "the repository does not exist or is private; for a private one set"
    " HF_TOKEN",
    "RevisionNotFoundError": "the repository has no revision {0.revision}",
}


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """A commit of a repository: unlike branches and tags, it never changes."""

    repository: str  # "owner/name"
    revision: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision[:8]}"


def folder(home: Path, pin: PinnedRevision) -> Path:
    """Directory of the checkpoint, which exists after `pull`."""
    return home / DIR_NAME / pin.repository.replace("/", "--") / pin.revision


def pull(home: Path, pin: PinnedRevision, progress: Progress = lambda name, size: None) -> Path:
    """Downloads the missing files of a checkpoint and resumes an earlier attempt."""
    from huggingface_hub import errors

    target = folder(home, pin)
    if target.is_dir():
        return target
    partial = target.with_name(f"{pin.revision}.partial")
    # OSError, and the base class of the errors of its HTTP client.
    expected: tuple[type[Exception], ...] = errors.HfHubHTTPError.__bases__
    try:
        _download(partial, pin, progress)
        checkpoint.read(partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # metadata of huggingface_hub
        partial.rename(target)
    except expected as error:
        if target.is_dir():  # another process finished first
            return target
        raise SettingsError(f"{pin} cannot be pulled: {_reason(error, pin)}") from None
    return target


def _download(partial: Path, pin: PinnedRevision, progress: Progress) -> None:
    from huggingface_hub import HfApi

    # huggingface_hub itself reads HF_ENDPOINT only once per process.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    info = api.model_info(pin.repository, revision=pin.revision, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or ()}
    if checkpoint.INDEX not in files:
        raise SettingsError(
            f"{pin} has no {checkpoint.INDEX}; only checkpoints in diffusers format are supported"
        )
    partial.mkdir(parents=True, exist_ok=True)
    # The index comes first: it refuses an unsupported pipeline before gigabytes are downloaded.
    _download_file(api, pin, partial, files[checkpoint.INDEX])
    names = checkpoint.component_names(checkpoint.read_index(partial / checkpoint.INDEX))
    for component in sorted(names):
        prefix = f"{component}/"
        inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        # Without samples, code, and weights in other formats.
        for name in select_files(name for name in inside if "/" not in name):
            file = files[prefix + name]
            progress(file.rfilename, file.size or 0)
            _download_file(api, pin, partial, file)


def _download_file(api: HfApi, pin: PinnedRevision, partial: Path, file: Any) -> None:
    api.hf_hub_download(pin.repository, file.rfilename, revision=pin.revision, local_dir=partial)
    path = partial / file.rfilename
    is_intact = path.stat().st_size == file.size
    if is_intact and file.lfs:
        with path.open("rb") as opened:
            is_intact = hashlib.file_digest(opened, "sha256").hexdigest() == file.lfs.sha256
    if not is_intact:
        path.unlink()
        raise OSError(f"{file.rfilename} differs from the hub's size or digest; try again")


def _reason(error: Exception, pin: PinnedRevision) -> str:
    if known := _ERRORS.get(type(error).__name__):
        return known.format(pin)
    return " ".join(str(error).split()) or type(error).__name__
