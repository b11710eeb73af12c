"""Checkpoints of a hub: where a pinned one lies in the data folder, and how it gets there.

`daguerre models pull` downloads one, whole or not at all: its folder has its name only once every
file is there and is what the hub says it is. Only what is loaded is fetched, never code. Nothing
here is called while serving but `folder`, which asks no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# (name of the file, its bytes)
Progress = Callable[[str, int], None]

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """One state of a repository for good: branches and tags can move, a commit cannot."""

    repository: str  # "owner/name"
    revision: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision[:8]}"


def is_repository(value: object) -> bool:
    return isinstance(value, str) and bool(_REPOSITORY.fullmatch(value))


def is_revision(value: object) -> bool:
    return isinstance(value, str) and bool(_REVISION.fullmatch(value))


def folder(home: Path, pin: PinnedRevision) -> Path:
    """Where the checkpoint lies once it is pulled."""
    return home / "checkpoints" / pin.repository.replace("/", "--") / pin.revision


def pull(home: Path, pin: PinnedRevision, progress: Progress = lambda name, size: None) -> Path:
    """Downloads what is not there yet. What an earlier attempt got is kept."""
    target = folder(home, pin)
    if target.is_dir():
        return target
    partial = target.with_name(f"{pin.revision}.partial")
    try:
        _fill(partial, pin, progress)
        checkpoint.read(partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the library's notes
        partial.rename(target)
    except (OSError, _transport_error()) as error:
        if target.is_dir():  # another process was faster
            return target
        raise SettingsError(f"{pin} cannot be pulled: {_words(error, pin)}") from None
    return target


def _fill(partial: Path, pin: PinnedRevision, progress: Progress) -> None:
    from huggingface_hub import HfApi

    # Read here and not by the library, which does so once for the whole process.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    info = api.model_info(pin.repository, revision=pin.revision, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or ()}
    if checkpoint.INDEX not in files:
        raise SettingsError(
            f"{pin} has no {checkpoint.INDEX}; only checkpoints in diffusers format are served"
        )
    partial.mkdir(parents=True, exist_ok=True)
    _fetch(api, pin, partial, files[checkpoint.INDEX])
    # Before gigabytes are fetched: a pipeline that is not served is refused by its index.
    names = checkpoint.component_names(checkpoint.read_index(partial / checkpoint.INDEX))
    for name in _wanted(list(files), names):
        progress(name, files[name].size or 0)
        _fetch(api, pin, partial, files[name])


def _wanted(files: Sequence[str], components: Sequence[str]) -> list[str]:
    """What a checkpoint is loaded from: not its samples, its code or its weights in other forms."""
    parts = ((name, name.split("/")) for name in sorted(files))
    return [
        name
        for name, part in parts
        if len(part) == 2 and part[0] in components and checkpoint.is_loadable_file(part[1])
    ]


def _fetch(api: HfApi, pin: PinnedRevision, partial: Path, file: Any) -> None:
    api.hf_hub_download(pin.repository, file.rfilename, revision=pin.revision, local_dir=partial)
    path = partial / file.rfilename
    is_whole = path.stat().st_size == file.size
    if is_whole and file.lfs:
        with path.open("rb") as opened:
            is_whole = hashlib.file_digest(opened, "sha256").hexdigest() == file.lfs.sha256
    if not is_whole:
        path.unlink()
        raise OSError(f"{file.rfilename} did not arrive as the hub has it; try again")


def _transport_error() -> type[Exception]:
    """What the library's own client of HTTP raises where there is no network."""
    from huggingface_hub import errors

    kind: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    return kind


def _words(error: Exception, pin: PinnedRevision) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"its owner asks for your consent: give it on the page of {pin.repository}, and set"
            " HF_TOKEN to a token of yours"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private: then set HF_TOKEN to a token"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {pin.revision}"
    return " ".join(str(error).split()) or type(error).__name__
