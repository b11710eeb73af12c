"""Batch-invariance certificates: which batches are proved to change no bit.

A certificate belongs to a network's fingerprint, a signature and the rows of each job. One JSON
file stores all certificates, so each is verified once per machine.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

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
        self._stored: Mapping[BatchConfig, bool] = _read(path) if path else {}
        self._known = self._stored

    def get(self, config: BatchConfig) -> bool | None:
        """Whether the batch is exact; None if it is not verified yet."""
        return self._known.get(config)

    def put(self, config: BatchConfig, is_exact: bool) -> None:
        self._known = {**self._known, config: is_exact}
        self._stored = {**self._stored, config: is_exact}
        if self._path:
            _write(self._path, self._stored)

    def mark_failed(self, config: BatchConfig) -> None:
        """Disables the batch in this process: an error proves nothing about later ones."""
        self._known = {**self._known, config: False}

    def results(self, fingerprints: Collection[str]) -> dict[str, bool]:
        """Label -> whether the batch is exact, for the networks with these fingerprints."""
        known = self._known
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
    except (OSError, ValueError, LookupError, TypeError) as error:
        logger.warning("cannot read certificates in %s, verifying again: %r", path, error)
        return {}


def _parse(entry: Mapping[str, object]) -> tuple[BatchConfig, bool]:
    fingerprint, signature, rows = entry["fingerprint"], entry["signature"], entry["rows"]
    is_exact = entry["is_exact"]
    if (
        isinstance(fingerprint, str)
        and isinstance(signature, str)
        and isinstance(rows, list)
        and all(type(count) is int for count in rows)
        and isinstance(is_exact, bool)
    ):
        return BatchConfig(fingerprint, signature, tuple(rows)), is_exact
    raise TypeError(f"malformed entry {entry!r}")


def _write(path: Path, certificates: Mapping[BatchConfig, bool]) -> None:
    # Another process may have added certificates to the file; they are equally valid.
    merged = {**_read(path), **certificates}
    entries = [config._asdict() | {"is_exact": is_exact} for config, is_exact in merged.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps({"version": FILE_VERSION, "certificates": entries}, indent=1))
    except OSError as error:
        logger.warning("cannot write certificates to %s: %r", path, error)


def _replace(path: Path, text: str) -> None:
    """Replaces the file atomically."""
    # A random name, because process IDs of containers that share a directory may be equal.
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
