"""Certificates: proof that sharing a forward changes no bit, and what sharing costs.

A certificate belongs to a network's fingerprint, a signature and the split of the rows (2+2: two
jobs of two rows each). They are kept in one JSON file, so that they are measured once per machine.
Knows nothing of how a proof is made: that is `daguerre.engine.batching`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

# Counted up when a proof asks for more than it did: older certificates are then worth nothing.
FILE_VERSION = 1


class Claim(NamedTuple):
    """What a certificate is about."""

    fingerprint: str
    signature: str
    rows: tuple[int, ...]  # of each job, ascending

    @property
    def label(self) -> str:
        return f"{self.signature} rows {'+'.join(map(str, self.rows))}"


@dataclass(frozen=True, slots=True)
class Certificate:
    is_exact: bool
    cost: float  # time of the shared forward, in forwards of one job alone: 1.0 to len(rows)


class Certificates:
    """All that are known; `path` None keeps them in memory only. Written by one thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: Mapping[Claim, Certificate] = _read(path) if path else {}
        self._kept = self._known

    def get(self, claim: Claim) -> Certificate | None:
        return self._known.get(claim)

    def put(self, claim: Claim, certificate: Certificate) -> None:
        """Replaces the mapping instead of changing it: other threads may be reading it."""
        self._known = {**self._known, claim: certificate}
        self._kept = {**self._kept, claim: certificate}
        if self._path:
            _write(self._path, self._kept)

    def refuse(self, claim: Claim) -> None:
        """For this process only: an error, say of memory, proves nothing for good."""
        self._known = {**self._known, claim: Certificate(is_exact=False, cost=float("inf"))}

    def held(self, fingerprints: Collection[str]) -> dict[str, bool]:
        """Label -> whether the proof held, for networks with these fingerprints."""
        known = self._known
        return {
            claim.label: certificate.is_exact
            for claim, certificate in known.items()
            if claim.fingerprint in fingerprints
        }


def _read(path: Path) -> dict[Claim, Certificate]:
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


def _parse(entry: Mapping[str, object]) -> tuple[Claim, Certificate]:
    """Raises what a damaged entry makes it raise; nothing in the file is taken on trust."""
    fingerprint, signature, rows = entry["fingerprint"], entry["signature"], entry["rows"]
    is_exact, cost = entry["is_exact"], entry["cost"]
    if not (isinstance(fingerprint, str) and isinstance(signature, str)):
        raise TypeError(f"fingerprint {fingerprint!r} and signature {signature!r} must be strings")
    if not (isinstance(rows, Sequence) and all(type(count) is int for count in rows)):
        raise TypeError(f"rows {rows!r} must be a list of whole numbers")
    if not (isinstance(is_exact, bool) and isinstance(cost, float)):
        raise TypeError(f"is_exact {is_exact!r} must be true or false, cost {cost!r} a number")
    return Claim(fingerprint, signature, tuple(rows)), Certificate(is_exact, cost)


def _write(path: Path, certificates: Mapping[Claim, Certificate]) -> None:
    """The file is whole at every moment: written beside and moved into place."""
    # Another process on this folder may have written since; its certificates are as good as ours.
    merged = {**_read(path), **certificates}
    entries = [claim._asdict() | asdict(certificate) for claim, certificate in merged.items()]
    content = {"version": FILE_VERSION, "certificates": entries}
    # One thread of a process writes, so its number makes the name its own.
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("certificates cannot be kept in %s: %r", path, error)
