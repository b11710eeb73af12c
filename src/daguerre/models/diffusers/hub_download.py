"""Downloads checkpoints from a hub, completely or not at all.

The directory of a checkpoint gets its name after every file is there and matches the hub's size and
digest. Only files that are loaded are downloaded, never code. huggingface_hub is imported on use.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.component_files import INDEX, WEIGHTS, select_files
from daguerre.models.diffusers.hub import REVISION, PinnedRevision, folder

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# The newest commit of the branch that every repository has.
MAIN = "main"
_MAX_TEXT_CHARS = 200
_ERRORS: Mapping[str, str] = {  # class of huggingface_hub -> message, with the pin
    "GatedRepoError": "the repository is gated; accept its terms on the page of {0.repository} and"
    " set HF_TOKEN",
    "RepositoryNotFoundError": "the repository does not exist or is private; for a private one set"
    " HF_TOKEN",
    "RevisionNotFoundError": "the repository has no revision {0.revision}",
}


@dataclass(frozen=True, slots=True)
class Download:
    """What is about to be downloaded; `license` is the hub's name of it, or empty."""

    pin: PinnedRevision
    pipeline: str
    license: str
    num_bytes: int


# Shows a download; its context is a function that receives the number of bytes that are there.
Show: TypeAlias = Callable[[Download], AbstractContextManager[Callable[[int], None]]]


def resolve(repository: str, revision: str = MAIN) -> PinnedRevision:
    """The commit that a branch or a tag of a repository names now; a whole commit is itself."""
    pin = PinnedRevision(repository, revision)
    if REVISION.accepts(revision):
        return pin
    with _translate_errors(pin):
        commit = _api().model_info(repository, revision=revision).sha
    if not REVISION.accepts(commit):
        raise SettingsError(f"{pin} cannot be pulled: the hub names no commit, but {commit!r}")
    return PinnedRevision(repository, str(commit))


def pull(
    home: Path, pin: PinnedRevision, show: Show = lambda _: nullcontext(lambda num_bytes: None)
) -> Path:
    """Downloads the missing files of a checkpoint and resumes an earlier attempt."""
    target = folder(home, pin)
    if target.is_dir():
        return target
    partial = target.with_name(f"{pin.revision}.partial")
    with _translate_errors(pin):
        try:
            _download(partial, pin, show)
            checkpoint.read(partial)
            shutil.rmtree(partial / ".cache", ignore_errors=True)  # metadata of huggingface_hub
            partial.rename(target)
        except Exception:
            if not target.is_dir():  # else another process finished first
                raise
    return target


def _api() -> HfApi:
    from huggingface_hub import HfApi

    # huggingface_hub itself reads HF_ENDPOINT only once per process.
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _download(partial: Path, pin: PinnedRevision, show: Show) -> None:
    api = _api()
    info = api.model_info(pin.repository, revision=pin.revision, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or ()}
    if INDEX not in files:
        raise SettingsError(_without_index(pin, files))
    partial.mkdir(parents=True, exist_ok=True)
    # The index comes first: it refuses an unsupported pipeline before gigabytes are downloaded.
    _download_file(api, pin, partial, files[INDEX], lambda num_bytes: None)
    index = checkpoint.read_index(partial / INDEX)
    chosen = [files[name] for name in sorted(_loaded_files(index, files))]
    total = sum(file.size or 0 for file in chosen)
    _check_disk(partial, pin, total)
    with show(Download(pin, index["_class_name"], _license(info), total)) as report:
        done = 0
        for file in chosen:
            _download_file(api, pin, partial, file, functools.partial(_add, report, done))
            done += file.size or 0
            report(done)


def _add(report: Callable[[int], None], num_before: int, num_bytes: int) -> None:
    report(num_before + num_bytes)


def _loaded_files(index: Mapping[str, Any], files: Mapping[str, Any]) -> Iterator[str]:
    """The files without samples, code, and weights in other formats.

    A component with another name than an identifier, such as "..", is refused when it is read.
    """
    for component in filter(str.isidentifier, checkpoint.component_names(index)):
        prefix = f"{component}/"
        inside = [name.removeprefix(prefix) for name in files if name.startswith(prefix)]
        for name in select_files(name for name in inside if "/" not in name):
            yield prefix + name


def _download_file(
    api: HfApi, pin: PinnedRevision, partial: Path, file: Any, report: Callable[[int], None]
) -> None:
    """Downloads a file; `report` receives the number of its bytes that are there."""
    api.hf_hub_download(
        pin.repository,
        file.rfilename,
        revision=pin.revision,
        local_dir=partial,
        tqdm_class=_progress_class(report),
    )
    path = partial / file.rfilename
    is_intact = path.stat().st_size == file.size
    if is_intact and file.lfs:
        with path.open("rb") as opened:
            is_intact = hashlib.file_digest(opened, "sha256").hexdigest() == file.lfs.sha256
    if not is_intact:
        path.unlink()
        raise OSError(f"{file.rfilename} differs from the hub's size or digest; try again")


def _progress_class(report: Callable[[int], None]) -> Any:
    """A progress bar for huggingface_hub that draws nothing."""
    from tqdm import tqdm

    class Progress(tqdm):
        def __init__(self, *given: Any, initial: int = 0, **options: Any) -> None:
            self._position = initial
            super().__init__(*given, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self._position += int(n or 0)
            report(self._position)
            return None

    return Progress


def _check_disk(partial: Path, pin: PinnedRevision, total: int) -> None:
    parts = (*partial.glob(f"*/*{WEIGHTS}"), *partial.rglob("*.incomplete"))
    there = sum(file.stat().st_size for file in parts)
    free, needed = shutil.disk_usage(partial).free, total - there
    if needed > free:
        raise SettingsError(
            f"{pin} needs {needed / 1e9:.1f} GB more, but {free / 1e9:.1f} GB of the disk of"
            f" {partial.parent} are free; free some, or choose another data directory with --home"
        )


def _license(info: Any) -> str:
    """The license that the model card names, else a tag."""
    card = info.card_data.to_dict() if info.card_data else {}
    named = card.get("license_name") or card.get("license")
    tags = [tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")]
    return _printable(str(named or next(iter(tags), "")))


def _printable(text: str) -> str:
    """Text of a hub without what would control the terminal."""
    return "".join(char for char in text if char.isprintable())[:_MAX_TEXT_CHARS]


def _without_index(pin: PinnedRevision, files: Mapping[str, Any]) -> str:
    single = [name for name in files if name.endswith(WEIGHTS) and "/" not in name]
    advice = f"; download {_printable(single[0])}, and serve that file" if single else ""
    return f"{pin} has no {INDEX}; only checkpoints in diffusers format can be pulled{advice}"


@contextmanager
def _translate_errors(pin: PinnedRevision) -> Iterator[None]:
    """Every failure is a `SettingsError` that says what to do."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SettingsError(
            f"{pin} cannot be pulled without huggingface_hub; install it: pip install"
            " 'daguerre[diffusers]'"
        )
    from huggingface_hub import errors

    # OSError, and the base class of the errors of its HTTP client.
    bases: tuple[type[Exception], ...] = errors.HfHubHTTPError.__bases__
    expected: tuple[type[Exception], ...] = (*bases, errors.HFValidationError)
    try:
        yield
    except expected as error:
        raise SettingsError(f"{pin} cannot be pulled: {_reason(error, pin)}") from None


def _reason(error: Exception, pin: PinnedRevision) -> str:
    if known := _ERRORS.get(type(error).__name__):
        return known.format(pin)
    return " ".join(str(error).split()) or type(error).__name__
