"""Batch-invariance certificates: which batches are proved to change no bit.

A certificate belongs to a network's fingerprint, a signature and the rows of each job. One JSON
file stores all certificates, so each is verified once per machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from daguerre.errors import SettingsError
from daguerre.params import BatchingMode
from daguerre.storage.data_dir import write_private

logger = logging.getLogger(__name__)

FILE_NAME = "certificates.json"
# Version of the checks and of the file's format; certificates of other versions are ignored.
FILE_VERSION = 2


class BatchConfig(NamedTuple):
    """The network, the signature and the rows of each job in a batch."""

    fingerprint: str
    signature: str
    rows: tuple[int, ...]  # ascending, where the batch is evaluated

    def first(self, count: int) -> BatchConfig:
        """The batch of the first jobs."""
        return self._replace(rows=tuple(sorted(self.rows[:count])))

    @property
    def label(self) -> str:
        return f"{self.signature} rows {'+'.join(map(str, self.rows))}"


class CertificateStore:
    """Verified batch configurations. One thread writes; any thread may read.

    `path` None stores nothing on disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        # Both are replaced, not modified: other threads may be reading them.
        self._verified: Mapping[BatchConfig, bool] = _read(path) if path else {}
        self._failed: frozenset[BatchConfig] = frozenset()

    def get(self, config: BatchConfig, batching: BatchingMode = "exact") -> bool | None:
        """Whether the batch may be used; None if it must be verified first ("exact" only)."""
        if config in self._failed:
            return False
        return self._verified.get(config) if batching == "exact" else True

    def put(self, config: BatchConfig, is_exact: bool) -> None:
        self._verified = {**self._verified, config: is_exact}
        if self._path:
            _write(self._path, self._verified)

    def mark_failed(self, config: BatchConfig) -> None:
        """Disables the batch in this process: an error proves nothing about later ones."""
        self._failed |= {config}

    def results(self, fingerprints: Collection[str]) -> dict[str, bool]:
        """Label -> whether the batch is exact, for the networks with these fingerprints."""
        known = {**self._verified, **dict.fromkeys(self._failed, False)}
        return {
            config.label: is_exact
            for config, is_exact in known.items()
            if config.fingerprint in fingerprints
        }


def _read(path: Path) -> dict[BatchConfig, bool]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != FILE_VERSION:
            return {}
        return dict(_parse(entry) for entry in content["certificates"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        logger.warning("cannot read certificates in %s, verifying again: %r", path, error)
        return {}


def _parse(entry: object) -> tuple[BatchConfig, bool]:
    match entry:
        case {
            "fingerprint": str(fingerprint),
            "signature": str(signature),
            "rows": [*rows],
            "is_exact": bool(is_exact),
        } if all(type(count) is int for count in rows):
            return BatchConfig(fingerprint, signature, tuple(rows)), is_exact
    raise TypeError(f"malformed entry {entry!r}")


def _write(path: Path, certificates: Mapping[BatchConfig, bool]) -> None:
    # Another process may have added certificates to the file; they are equally valid.
    merged = {**_read(path), **certificates}
    entries = [config._asdict() | {"is_exact": is_exact} for config, is_exact in merged.items()]
    text = json.dumps({"version": FILE_VERSION, "certificates": entries}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)
    except (OSError, SettingsError) as error:
        logger.warning("cannot write certificates: %s", error)
