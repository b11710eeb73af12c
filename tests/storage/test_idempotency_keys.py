"""Idempotency records: one request and one seed per key, for a day, in every process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ManualClock
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from daguerre.config import Settings
from daguerre.errors import RateLimitError, UnavailableError
from daguerre.storage import database
from daguerre.storage import idempotency_keys as module
from daguerre.storage.idempotency_keys import TTL_S, IdempotencyRecord, IdempotencyStore


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def records(settings: Settings, clock: ManualClock) -> Iterator[IdempotencyStore]:
    engine = database.open_database(settings.database_url, settings.data_dir())
    yield IdempotencyStore(engine, clock)
    engine.dispose()


def test_first_request_wins(records: IdempotencyStore, clock: ManualClock) -> None:
    """Later requests with a key get the digest, the seed and the time of the first."""
    first = IdempotencyRecord("f", 7, 1_000_000)
    assert records.claim("r", "k", "f", 7, "one") == (first, True)
    clock.now += 100
    assert records.claim("r", "k", "f", 8, "one") == (first, False)
    assert records.claim("r", "k", "other", 9, "one") == (first, False)


def test_keys_belong_to_a_resource(records: IdempotencyStore) -> None:
    """The same key of another resource is a different key, and so is another spelling."""
    records.claim("r", "k", "f", 7, "one")
    assert records.claim("s", "k", "g", 2**32 - 1, "one")[0].seed == 2**32 - 1
    assert records.claim("r", "K", "g", 9, "one")[1]


def test_expiry(records: IdempotencyStore, clock: ManualClock) -> None:
    """A record expires after 24 hours and is deleted; then the key is new."""
    records.claim("r", "k", "f", 7, "one")
    clock.now += TTL_S - 1
    assert records.claim("r", "k", "f", 8, "one")[0].seed == 7
    clock.now += 1
    assert records.claim("r", "other", "f", 9, "one")[1]
    assert count(records) == 1
    later = IdempotencyRecord("g", 8, int(clock.now))
    assert records.claim("r", "k", "g", 8, "one") == (later, True)


def test_release(records: IdempotencyStore) -> None:
    """A released key is new."""
    records.claim("r", "k", "f", 7, "one")
    records.release("r", "k", "one")
    assert records.claim("r", "k", "g", 8, "one")[1]


def test_release_by_another_owner(records: IdempotencyStore) -> None:
    """Only the owner can release a key; a conflicting request changes nothing."""
    records.claim("r", "k", "f", 7, "one")
    assert not records.claim("r", "k", "other", 8, "two")[1]
    records.release("r", "k", "two")
    assert records.claim("r", "k", "f", 8, "one")[0].seed == 7
    records.release("r", "k", "one")
    assert records.claim("r", "k", "g", 9, "two")[1]


def test_release_of_a_shared_key(records: IdempotencyStore) -> None:
    """Once a second owner has claimed a key, none of them can release it."""
    records.claim("r", "k", "f", 7, "one")
    assert records.claim("r", "k", "f", 8, "two")[0].seed == 7
    for owner in ("one", "two"):
        records.release("r", "k", owner)
    assert records.claim("r", "k", "f", 9, "three")[0].seed == 7


def test_release_and_claim_at_once(records: IdempotencyStore) -> None:
    """A claim during a release gets a record that stays, the old one or a new one."""
    with ThreadPoolExecutor(2) as pool:
        for key in map(str, range(20)):
            records.claim("r", key, "f", 7, "one")
            released = pool.submit(records.release, "r", key, "one")
            claimed = pool.submit(records.claim, "r", key, "f", 8, "two")
            released.result()
            seed = claimed.result()[0].seed
            assert records.claim("r", key, "f", 9, "three")[0].seed == seed


def test_number_of_keys_is_limited(
    records: IdempotencyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit a resource gets no new keys; its old ones and other resources still work."""
    monkeypatch.setattr(module, "MAX_KEYS_PER_RESOURCE", 3)
    for key in "abc":
        records.claim("r", key, "f", 1, "one")
    with pytest.raises(RateLimitError, match="has 3 idempotency keys"):
        records.claim("r", "d", "f", 1, "one")
    assert records.claim("r", "a", "f", 2, "one")[0].seed == 1
    assert records.claim("s", "d", "f", 1, "one")[1]


def test_key_is_stored_as_a_hash(records: IdempotencyStore) -> None:
    """The database contains no key in plain text."""
    records.claim("resource", "secret-key", "f", 1, "one")
    with records._database.connect() as connection:
        row = connection.execute(text("SELECT * FROM daguerre_idempotency_keys")).one()
    assert not any("secret-key" in str(value) for value in row)


def test_outage(records: IdempotencyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the database is a 503 with its reason as the cause, for the log."""

    def fail(*arguments: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(module, "_get_or_insert", fail)
    with pytest.raises(UnavailableError, match="cannot store the Idempotency-Key") as caught:
        records.claim("r", "k", "f", 1, "one")
    assert "disk is full" in str(caught.value.__cause__)


def test_known_key_in_an_outage(
    records: IdempotencyStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only writing fails, for example on a full disk, a key is known until it expires."""
    records.claim("r", "k", "f", 7, "one")

    def fail(*arguments: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))

    monkeypatch.setattr(module, "write_transaction", fail)
    for digest in "fg":
        found, is_new = records.claim("r", "k", digest, 8, "two")
        assert (found, is_new) == (IdempotencyRecord("f", 7, 1_000_000), False)
    clock.now += TTL_S
    with pytest.raises(UnavailableError, match="cannot store the Idempotency-Key"):
        records.claim("r", "k", "f", 8, "two")


def count(records: IdempotencyStore) -> int:
    with records._database.connect() as connection:
        return int(
            connection.execute(text("SELECT COUNT(*) FROM daguerre_idempotency_keys")).scalar_one()
        )


RACE = """
import sys
from pathlib import Path
from daguerre.storage import database
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.config import Settings
settings = Settings(home=Path(sys.argv[1]), database_url=sys.argv[2])
records = IdempotencyStore(database.open_database(settings.database_url, settings.data_dir()))
print("ready", flush=True)
sys.stdin.readline()
for key in "abcdefgh":
    print(records.claim("r", key, "f", int(sys.argv[3]), sys.argv[3])[0].seed)
"""


def test_processes_agree(settings: Settings) -> None:
    """Servers that share a database and receive the same keys at once give each key one seed."""
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
