"""What a key stands for: one request and one seed, for a day, in every process on the database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import ManualClock
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from daguerre.config import Settings
from daguerre.errors import RateLimitError, UnavailableError
from daguerre.storage import database
from daguerre.storage import idempotency_keys as claims_module
from daguerre.storage.idempotency_keys import CLAIM_S, IdempotencyRecord, IdempotencyStore


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def claims(settings: Settings, clock: ManualClock) -> Iterator[IdempotencyStore]:
    engine = database.open_database(settings)
    yield IdempotencyStore(engine, clock)
    engine.dispose()


def test_the_first_holds(claims: IdempotencyStore, clock: ManualClock) -> None:
    """Whatever comes later with a key gets the fingerprint, the seed and the time of the first."""
    first = IdempotencyRecord("f", 7, 1_000_000)
    assert claims.claim("r", "k", "f", 7) == (first, True)
    clock.now += 100
    assert claims.claim("r", "k", "f", 8) == (first, False)
    assert claims.claim("r", "k", "other", 9) == (first, False)


def test_keys_are_of_a_resource(claims: IdempotencyStore) -> None:
    """The same key of another resource is another key, and so is another spelling."""
    claims.claim("r", "k", "f", 7)
    assert claims.claim("s", "k", "g", 2**32 - 1)[0].seed == 2**32 - 1
    assert claims.claim("r", "K", "g", 9)[1]


def test_claims_end(claims: IdempotencyStore, clock: ManualClock) -> None:
    """A key holds for 24 hours, is new after that, and leaves nothing in the database."""
    claims.claim("r", "k", "f", 7)
    clock.now += CLAIM_S - 1
    assert claims.claim("r", "k", "f", 8)[0].seed == 7
    clock.now += 1
    assert claims.claim("r", "other", "f", 9)[1]
    assert count(claims) == 1
    assert claims.claim("r", "k", "g", 8) == (IdempotencyRecord("g", 8, int(clock.now)), True)


def test_released(claims: IdempotencyStore) -> None:
    """A key that was given back is as new."""
    claims.claim("r", "k", "f", 7)
    claims.release("r", "k")
    assert claims.claim("r", "k", "g", 8)[1]


def test_claims_are_bounded(claims: IdempotencyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource cannot fill the disk with keys; those it has go on, and others' are left alone."""
    monkeypatch.setattr(claims_module, "MAX_CLAIMS", 3)
    for key in "abc":
        claims.claim("r", key, "f", 1)
    with pytest.raises(RateLimitError, match="3 idempotency keys"):
        claims.claim("r", "d", "f", 1)
    assert claims.claim("r", "a", "f", 2)[0].seed == 1
    assert claims.claim("s", "d", "f", 1)[1]


def test_nothing_readable_is_kept(claims: IdempotencyStore) -> None:
    """The key stands in the database as a hash only."""
    claims.claim("resource", "secret-key", "f", 1)
    with claims._database.connect() as connection:
        row = connection.execute(text("SELECT * FROM daguerre_claims")).one()
    assert not any("secret-key" in str(value) for value in row)


def test_outage(claims: IdempotencyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database fails, the caller is told to try again, and the log has the reason."""

    def fail(*arguments: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(claims_module, "_claimed", fail)
    with pytest.raises(UnavailableError, match="idempotency keys cannot be kept") as caught:
        claims.claim("r", "k", "f", 1)
    assert "disk is full" in str(caught.value.__cause__)


def count(claims: IdempotencyStore) -> int:
    with claims._database.connect() as connection:
        return int(connection.execute(text("SELECT COUNT(*) FROM daguerre_claims")).scalar_one())


RACE = """
import sys
from pathlib import Path
from daguerre.storage import database
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.config import Settings
settings = Settings(home=Path(sys.argv[1]), database_url=sys.argv[2])
claims = IdempotencyStore(database.open_database(settings))
print("ready", flush=True)
sys.stdin.readline()
for key in "abcdefgh":
    print(claims.claim("r", key, "f", int(sys.argv[3]))[0].seed)
"""


def test_processes_agree(settings: Settings) -> None:
    """Servers on one database that get the same keys at once give each key one seed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, settings.data_dir(), settings.database_url, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2, 3)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    seeds = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len(seeds[0]) == 8 and seeds[0] == seeds[1] == seeds[2]
