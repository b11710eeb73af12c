"""Certificates: whether sharing a forward is proved to change no bit.

A certificate belongs to a network's fingerprint, a signature and the split of the rows (2+2: two
jobs of two rows each). They are kept in one JSON file, so that a proof is made once per machine.
Knows nothing of how a proof is made: that is `daguerre.engine.batching.batcher`.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

# Counted up when a proof asks for more than it did, or an entry holds something else: older
# certificates are then worth nothing.
FILE_VERSION = 2


class BatchConfig(NamedTuple):
    """What a certificate is about."""

    fingerprint: str
    signature: str
    rows: tuple[int, ...]  # of each job, ascending

    @property
    def label(self) -> str:
        return f"{self.signature} rows {'+'.join(map(str, self.rows))}"


class CertificateStore:
    """All that are known; `path` None keeps them in memory only. Written by one thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        # Claim -> whether it held.
        self._known: Mapping[BatchConfig, bool] = _read(path) if path else {}
        self._kept = self._known

    def get(self, claim: BatchConfig) -> bool | None:
        """Whether sharing was proved exact; None where it was not tried."""
        return self._known.get(claim)

    def put(self, claim: BatchConfig, is_exact: bool) -> None:
        """Replaces the mapping instead of changing it: other threads may be reading it."""
        self._known = {**self._known, claim: is_exact}
        self._kept = {**self._kept, claim: is_exact}
        if self._path:
            _write(self._path, self._kept)

    def refuse(self, claim: BatchConfig) -> None:
        """For this process only: an error, say of memory, proves nothing for good."""
        self._known = {**self._known, claim: False}

    def held(self, fingerprints: Collection[str]) -> dict[str, bool]:
        """Label -> whether the proof held, for networks with these fingerprints."""
        known = self._known
        return {
            claim.label: is_exact
            for claim, is_exact in known.items()
            if claim.fingerprint in fingerprints
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
        logger.warning("certificates in %s cannot be read, starting over: %r", path, error)
        return {}


def _parse(entry: Mapping[str, object]) -> tuple[BatchConfig, bool]:
    """Raises what a damaged entry makes it raise; nothing in the file is taken on trust."""
    fingerprint, signature, rows = entry["fingerprint"], entry["signature"], entry["rows"]
    is_exact = entry["is_exact"]
    if not (isinstance(fingerprint, str) and isinstance(signature, str)):
        raise TypeError(f"fingerprint {fingerprint!r} and signature {signature!r} must be strings")
    if not (isinstance(rows, Sequence) and all(type(count) is int for count in rows)):
        raise TypeError(f"rows {rows!r} must be a list of whole numbers")
    if not isinstance(is_exact, bool):
        raise TypeError(f"is_exact {is_exact!r} must be true or false")
    return BatchConfig(fingerprint, signature, tuple(rows)), is_exact


def _write(path: Path, certificates: Mapping[BatchConfig, bool]) -> None:
    """The file is whole at every moment: written beside and moved into place."""
    # Another process on this folder may have written since; its certificates are as good as ours.
    merged = {**_read(path), **certificates}
    entries = [claim._asdict() | {"is_exact": is_exact} for claim, is_exact in merged.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps({"version": FILE_VERSION, "certificates": entries}, indent=1))
    except OSError as error:
        logger.warning("certificates cannot be kept in %s: %r", path, error)


def _replace(path: Path, text: str) -> None:
    # The number of a process is no name of its own: containers that share a folder count alike.
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(number, "w", encoding="utf-8") as beside:
            beside.write(text)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
