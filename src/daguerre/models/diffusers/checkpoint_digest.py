"""The digest of a checkpoint's files, which is part of every fingerprint of its networks.

Large files are not read again if `FileDigests` has a record of them. A thread of low priority then
verifies the records while the model is served.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers import component_files
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.storage.file_digests import FileDigests, FileIdentity, read_digest

logger = logging.getLogger(__name__)

_LOWEST_PRIORITY = 19
_MAX_NAMES = 3  # of files in an error message


class CheckpointDigest:
    """`sha256` is empty until the first `update`."""

    def __init__(self, checkpoint: Checkpoint, records: FileDigests | None = None) -> None:
        self._checkpoint, self._records = checkpoint, records
        self._identities: dict[Path, FileIdentity] = {}
        self._damaged: list[Path] = []
        self.sha256 = ""

    @property
    def fault(self) -> str:
        """Why the digest is wrong, in words for clients, or "". Any thread may read it."""
        return "its weights have changed on disk" if self._damaged else ""

    def update(self) -> None:
        """Computes the digest if a file is new. Raises `SettingsError` if the digest changes, or a
        file cannot be read."""
        try:
            self._update()
        except OSError as error:
            path = self._checkpoint.path
            raise SettingsError(component_files.unreadable(path, error)) from None

    def _update(self) -> None:
        if self._damaged:
            raise self._changed(self._damaged)
        found = {file: FileIdentity.of(file) for file in self._checkpoint.files()}
        if found == self._identities:
            return
        since_ns = self._records.clock_ns() if self._records else 0
        digest = self._checkpoint.sha256(self._records.digest if self._records else read_digest)
        if self.sha256 not in ("", digest):
            changed = dict(found.items() ^ self._identities.items())
            raise self._changed(sorted(changed))
        self.sha256, self._identities = digest, found
        if self._records:
            threading.Thread(
                target=self._verify,
                args=[self._records, since_ns],
                name="daguerre-verify-digests",
                daemon=True,
            ).start()

    def _changed(self, files: Sequence[Path]) -> SettingsError:
        names = ", ".join(map(str, files[:_MAX_NAMES]))
        return SettingsError(
            f"the weights in {self._checkpoint.path} have changed since the server started, by"
            f" {names}; run: daguerre models reload"
        )

    def _verify(self, records: FileDigests, since_ns: int) -> None:
        _lower_priority()
        try:
            self._damaged = records.verify(list(self._checkpoint.files()), since_ns)
        except (OSError, SettingsError) as error:  # a file or the data directory was removed
            logger.warning("cannot verify the weights in %s: %s", self._checkpoint.path, error)
            return
        for file in self._damaged:
            logger.error(
                "%s has other content than when it was first loaded, but the same size and times;"
                " its models get 503; check the disk, then run: daguerre models reload",
                file,
            )


def _lower_priority() -> None:
    """Gives this thread the lowest priority for processors, and on Linux thereby for disks."""
    if sys.platform == "linux":  # elsewhere it would apply to the process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
