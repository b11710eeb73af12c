"""Stored data survives a process that is killed at any moment, and a full disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daguerre.config import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and resource limits")
TESTS = Path(__file__).parents[1]


def run(program: str, *arguments: object, before: tuple[str, ...] = ()) -> Any:
    """The last line that the program prints, parsed as JSON."""
    source = Path(sys.modules["daguerre"].__path__[0]).parent
    done = subprocess.run(
        [*before, sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(source), str(TESTS)))},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# Forks a process that has imported everything, because starting Python would take longer than the
# writes to interrupt.
KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path
from sqlalchemy import text
from daguerre.cli import credentials
from daguerre.cli import provisioning
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.config import Settings
from daguerre.storage.resources import ResourceStore

settings = Settings(home=Path(sys.argv[1]), database_url=sys.argv[2])
acknowledged = Path(sys.argv[3])

def work(name):
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    claims = IdempotencyStore(store.database)
    file = os.open(acknowledged, os.O_APPEND | os.O_WRONLY)
    for index in range(10**6):
        alias = f"{name}_{index}"
        provisioning.create(settings, store, "m", alias)
        os.write(file, f"made {alias}\\n".encode())
        if index % 2:
            provisioning.rotate(settings, store, alias)
        claims.claim(alias, "key", "print", index, "one")
        os.write(file, f"claimed {alias} {index}\\n".encode())
        if index % 3 == 0:
            provisioning.destroy(settings, store, alias)
            os.write(file, f"gone {alias}\\n".encode())

def check():
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    if not settings.database_url:
        with store.database.connect() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    words = [line.split() for line in acknowledged.read_text().splitlines()]
    gone = {word[1] for word in words if word[0] == "gone"}
    opened = provisioning.credentials_by_alias(settings, store)  # None where no key here opens it
    unsure.update(word[1] for word in words[-1:])  # may have been half destroyed
    for word in words:
        if word[0] == "made" and word[1] not in gone | unsure:
            assert opened[word[1]], word
        if word[0] == "claimed":
            records = IdempotencyStore(store.database)
            claim, is_new = records.claim(word[1], "key", "other", 0, "one")
            assert (claim.seed, is_new) == (int(word[2]), False), word
    assert not gone & {resource.alias for resource in store.list()}
    store.close()
    return len(words)

def num_lines():
    return len(acknowledged.read_bytes().splitlines())

unsure = set()
acknowledged.touch()
random.seed(int(sys.argv[4]))
for round in range(int(sys.argv[5])):
    child = os.fork()
    if child == 0:
        try:
            work(f"A{round}")
        finally:
            os._exit(1)
    # Kills every second child at its start, and the others after some writes.
    enough = num_lines() + (round % 2) * random.randint(1, 12)
    while num_lines() < enough:
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "exited by itself"
    num_words = check()
print(json.dumps(num_words))
"""


def test_killed_at_any_moment(on_each_database: Settings, tmp_path: Path) -> None:
    """A process that is killed during its writes loses nothing that it acknowledged.

    The database stays intact, even if the first write is interrupted.
    """
    home, url = on_each_database.data_dir(), on_each_database.database_url
    num_words = run(KILLED, home, url, tmp_path / "acknowledged", 1, 12)
    print(num_words, "acknowledged")  # shown by pytest -rP
    assert num_words >= 6


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_often(tmp_path: Path) -> None:
    """The same in thirty new directories, because their first writes are the rarest."""
    for seed in range(30):
        home = tmp_path / str(seed)
        run(KILLED, home, "", tmp_path / f"{seed}.txt", seed, 20)


FULL = """
import json, resource, sys
from pathlib import Path
from sqlalchemy import text
from daguerre.cli import credentials
from daguerre.cli import provisioning
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.config import Settings
from daguerre.errors import DaguerreError
from daguerre.storage.resources import ResourceStore

settings, way = Settings(home=Path(sys.argv[1]) / "home"), sys.argv[2]
store = ResourceStore.open(settings.database_url, settings.data_dir())
claims, outcomes = IdempotencyStore(store.database), []
filler = settings.data_dir() / "filler"

def fill():
    if way == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return
    for size in (4096, 1):
        try:
            with filler.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(size))
        except OSError:
            pass

def empty():
    if way == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        filler.unlink()

def attempt(action):
    try:
        action()
    except DaguerreError as error:
        outcomes.append(f"{type(error).__name__}: {error.message}")
        assert chr(10) not in error.message
    else:
        outcomes.append("done")

for index in range(3):
    provisioning.create(settings, store, "m", f"A{index}")
    claims.claim("r", f"k{index}", "f", index, "one")
keys = credentials.read(settings.data_dir())
fill()
for index in range(40):  # the first ones fit into blocks that are allocated already
    attempt(lambda: provisioning.create(settings, store, "m", f"B{index}"))
attempt(lambda: provisioning.rotate(settings, store, "A1"))
attempt(lambda: claims.claim("r", "new", "f", 1, "one"))
during = [store.authenticate(keys[f"A{index}"].key) is not None for index in range(3)]
empty()
after = credentials.read(settings.data_dir())
assert {a: after[a] for a in keys} == keys
opened = {alias: store.authenticate(kept.key) for alias, kept in after.items()}
assert all(found and found.alias == alias for alias, found in opened.items())
assert {found.alias for found in store.list()} == set(after)
assert [claims.claim("r", f"k{index}", "f", 9, "one")[0].seed for index in range(3)] == [0, 1, 2]
with store.database.connect() as connection:
    assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
provisioning.create(settings, store, "m", "LATER")
store.close()
print(json.dumps({"outcomes": outcomes, "during": during}))
"""


def check_full(found: dict[str, Any]) -> None:
    *created, rotated, claimed = found["outcomes"]
    assert created[-1].startswith("SettingsError: ")
    assert rotated.startswith("SettingsError: ")
    assert claimed.startswith("UnavailableError: cannot store the Idempotency-Key")
    assert found["during"] == [True] * 3


def test_no_file_can_grow(tmp_path: Path) -> None:
    """Writes fail with an error of one line, stored data stays, and writes work again later."""
    check_full(run(FULL, tmp_path, "limit"))


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = ("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt")
    return subprocess.run(mount, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="this user cannot mount file systems")
def test_full_disk(tmp_path: Path) -> None:
    """The same on a file system of 1 MB that is full to its last byte."""
    command = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    before = ("unshare", "-rm", "sh", "-c", command, str(tmp_path))
    check_full(run(FULL, tmp_path, "tmpfs", before=before))


SERVED = """
import json, logging, resource, sys
from pathlib import Path
from conftest import MODEL, running

logging.basicConfig()
with running(Path(sys.argv[1]), cache_seeded_requests=True) as server:
    body = {"model": MODEL, "prompt": "x", "seed": 1}
    def ask(key, **more):
        sent = {"idempotency_key": key} if key else {}
        answer = server.post({**body, **more}, **sent)
        return [answer.status_code, answer.headers.get("x-cache"), answer.content.hex()[-64:]]
    first = ask("one")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    full = [ask(None, seed=2), ask(None, seed=2), ask("one"), ask("two")]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    after = [ask("two"), ask("one")]
print(json.dumps({"first": first, "full": full, "after": after}))
"""


def test_server_on_a_full_disk(tmp_path: Path) -> None:
    """On a full disk, requests succeed without being cached.

    A new Idempotency-Key gets 503, because it cannot be stored; a known one is replayed.
    """
    found = run(SERVED, tmp_path)
    made, again, known, refused = found["full"]
    assert (made[0], made[1]) == (200, "miss") and again == made
    assert known[0] == 200 and known[2] == found["first"][2]
    assert refused[0] == 503
    assert [(status, cache) for status, cache, _ in found["after"]] == [(200, "hit"), (200, "hit")]
