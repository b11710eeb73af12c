"""Leases of servers: one fingerprint per model at a time, expiry, processes that have died."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ManualClock
from sqlalchemy import Connection, text

from daguerre.config import Settings
from daguerre.errors import UnavailableError
from daguerre.storage.database import database_time
from daguerre.storage.resources import ResourceStore
from daguerre.storage.server_leases import TTL_S, Renewal, ServerLeases

X, Y = {"m": "weights x"}, {"m": "weights y"}


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


@pytest.fixture
def servers(store: ResourceStore, clock: ManualClock) -> list[ServerLeases]:
    return [ServerLeases(store.database, lambda connection: clock()) for _ in range(3)]


def refusals(renewal: Renewal) -> dict[str, str]:
    return {model: other.fingerprint for model, other in renewal.conflicts.items()}


def test_first_fingerprint_wins(servers: list[ServerLeases]) -> None:
    """A server with another fingerprint of a model is refused, for this model only."""
    first, second, third = servers
    assert first.renew(X) == Renewal(1, {})
    assert second.renew(X) == Renewal(2, {})
    differing = third.renew({**Y, "n": "z"})
    assert (differing.num_servers, refusals(differing)) == (3, X)
    assert differing.conflicts["m"].server.endswith(f":{os.getpid()}")
    assert refusals(first.renew({**X, "n": "other"})) == {"n": "z"}


def test_last_lease_ends(servers: list[ServerLeases]) -> None:
    """Only when no server has the fingerprint any more, the next one registers its own."""
    first, second, third = servers
    first.renew(X)
    second.renew(X)
    first.release()
    assert refusals(third.renew(Y)) == X
    second.release()
    assert third.renew(Y) == Renewal(1, {})
    assert refusals(first.renew(X)) == Y


def test_expiry(servers: list[ServerLeases], clock: ManualClock) -> None:
    """A lease that is not renewed expires, also if the clock is set back."""
    first, second, _ = servers
    first.renew(X)
    clock.now += TTL_S - 1
    assert refusals(second.renew(Y)) == X
    clock.now += 1
    assert second.renew(Y) == Renewal(1, {})
    clock.now -= 3600
    assert first.renew(X) == Renewal(1, {})


def test_change_of_the_only_server(servers: list[ServerLeases]) -> None:
    """A server replaces its own fingerprints, and forgets those that it does not name."""
    first, second, _ = servers
    first.renew({**X, "n": "z"})
    first.renew(Y)
    assert refusals(second.renew({**X, "n": "other"})) == Y


def test_replace(servers: list[ServerLeases]) -> None:
    """A server that replaces is registered, and those with the other fingerprint are refused."""
    first, second, third = servers
    for server in (first, second):
        server.renew({**X, "n": "z"})
    assert third.renew(Y, replace=True) == Renewal(3, {})
    for server in (first, second):
        assert refusals(server.renew({**X, "n": "z"})) == Y
    assert third.renew(Y) == Renewal(3, {})


def test_servers_at_once(store: ResourceStore) -> None:
    """Of two servers that register at the same time, the second one sees the first one's."""
    is_inside, may_go = threading.Event(), threading.Event()

    def slow_clock(connection: Connection) -> float:
        is_inside.set()
        may_go.wait(PATIENCE_S)
        return database_time(connection)

    first, second = ServerLeases(store.database, slow_clock), ServerLeases(store.database)
    with ThreadPoolExecutor(2) as pool:
        earlier = pool.submit(first.renew, X)
        is_inside.wait(PATIENCE_S)
        later = pool.submit(second.renew, Y)
        wait([later], timeout=0.3)  # without a lock it would end now
        may_go.set()
        assert (refusals(earlier.result()), refusals(later.result())) == ({}, X)


def test_process_that_died(settings: Settings, store: ResourceStore) -> None:
    """The lease of a process that was killed on this machine ends at once."""
    code = (
        "import sys, time; from pathlib import Path;"
        "from daguerre.storage.resources import ResourceStore;"
        "from daguerre.storage.server_leases import ServerLeases;"
        "store = ResourceStore.open(sys.argv[2], Path(sys.argv[1]));"
        "ServerLeases(store.database).renew({'m': 'weights x'});"
        "print('ready', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir()), settings.database_url]
    leases = ServerLeases(store.database)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        assert refusals(leases.renew(Y)) == X
        process.kill()
    if Path("/proc/self/ns/pid").exists():
        assert leases.renew(Y) == Renewal(1, {})


@pytest.mark.parametrize(
    ("pid", "namespace", "process", "has_ended"),
    [
        ("own", "own", "own", False),  # two servers of one process
        ("own", "own", "other", True),  # the process ID was used again
        ("own", "other", "other", False),  # a container, or another machine of the same name
        ("1", "own", "other", False),
    ],
)
def test_process_that_has_ended(
    store: ResourceStore, pid: str, namespace: str, process: str, has_ended: bool
) -> None:
    """A process counts as ended only if it ran on this boot and in this container."""
    one, other = ServerLeases(store.database), ServerLeases(store.database)
    name, own_namespace, own_process, instance = other._id.rsplit(":", 3)
    host, own_pid = name.rsplit(":", 1)
    values = {"own": own_pid}
    other._id = ":".join(
        [
            host,
            values.get(pid, pid),
            own_namespace if namespace == "own" else namespace,
            own_process if process == "own" else process,
            instance,
        ]
    )
    other.renew(X)
    assert bool(one.renew(Y).conflicts) != has_ended


def test_outage(store: ResourceStore) -> None:
    """Without its table every call is an `UnavailableError`."""
    with store.database.begin() as connection:
        connection.execute(text("DROP TABLE daguerre_servers"))
    leases = ServerLeases(store.database)
    for call in (lambda: leases.renew(X), leases.release):
        with pytest.raises(UnavailableError, match="cannot renew the lease"):
            call()
