"""Rate limits in the database: a sliding minute, exact among threads and servers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import MODEL, ManualClock
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Engine, text

from daguerre.config import Settings
from daguerre.errors import UnavailableError
from daguerre.storage import database
from daguerre.storage.rate_limits import WINDOW_S, RateLimits, Window
from daguerre.storage.resources import ResourceStore

NOW_S = 1_800_000_000.0


@pytest.fixture
def settings(on_each_database: Settings) -> Settings:
    return on_each_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
def limits(store: ResourceStore, clock: ManualClock) -> RateLimits:
    return RateLimits(store.database, lambda connection: clock())


def is_accepted(limits: RateLimits, id: str, limit: int) -> bool:
    return limits.charge(id, limit)[1] is not None


def num_rows(engine: Engine) -> int:
    with engine.connect() as connection:
        query = text("SELECT COUNT(*) FROM daguerre_rate_limits")
        return int(connection.execute(query).scalar_one())


def test_window_slides(limits: RateLimits, clock: ManualClock) -> None:
    """Each request counts for 60 seconds, independent of clock minutes."""
    assert limits.window("r") == Window(0, 0.0)
    assert limits.charge("r", 2)[0] == Window(1, 60.0)
    clock.now += 40
    assert limits.charge("r", 2)[0] == Window(2, 20.0)
    clock.now += 19.5
    assert limits.charge("r", 2) == (Window(2, 0.5), None)
    clock.now += 0.5
    assert limits.charge("r", 2)[0] == Window(2, 40.0)
    assert limits.charge("r", 2) == (Window(2, 40.0), None)
    assert limits.window("r") == Window(2, 40.0)


def test_fractions_of_a_slot(limits: RateLimits, clock: ManualClock) -> None:
    """A request counts at least 60 s and at most 0.1 s longer; the reset is at most 60 s."""
    clock.now += 0.04
    assert limits.charge("r", 1)[0].reset_s == WINDOW_S
    clock.now += 60
    assert not is_accepted(limits, "r", 1)
    clock.now += 0.1
    assert is_accepted(limits, "r", 1)


def test_keys_are_independent(limits: RateLimits) -> None:
    """The requests of one key do not count for another."""
    assert is_accepted(limits, "a", 1) and is_accepted(limits, "b", 1)
    assert not is_accepted(limits, "a", 1)


def test_refund(limits: RateLimits, clock: ManualClock) -> None:
    """A refund returns the request's own charge, once, and none that came later."""
    _, slot = limits.charge("r", 2)
    assert slot is not None
    clock.now += 30
    assert is_accepted(limits, "r", 2)
    for _ in range(2):
        assert limits.refund("r", slot) == Window(1, 60.0)
    assert is_accepted(limits, "r", 2)
    clock.now += 45
    assert limits.refund("r", slot) == Window(2, 15.0)


def test_rows_are_bounded(limits: RateLimits, store: ResourceStore, clock: ManualClock) -> None:
    """A key has a row for each slot of the last minute, and refused requests add none."""
    for _ in range(200):
        is_accepted(limits, "r", 1000)
    assert num_rows(store.database) == 1
    for _ in range(3 * WINDOW_S):
        clock.now += 1
        is_accepted(limits, "r", 1000)
        is_accepted(limits, "r", 1)
    assert num_rows(store.database) == WINDOW_S


def test_clock_that_is_set_back(limits: RateLimits, clock: ManualClock) -> None:
    """Requests in the future do not count: they would block the key until their time comes."""
    assert is_accepted(limits, "r", 1)
    clock.now -= 3600
    assert limits.window("r") == Window(0, 0.0)
    assert is_accepted(limits, "r", 1)
    assert not is_accepted(limits, "r", 1)


@pytest.fixture
def other_store(settings: Settings) -> Iterator[ResourceStore]:
    other = ResourceStore.open(settings.database_url, settings.data_dir())
    yield other
    other.close()


def test_two_servers_at_once(store: ResourceStore, other_store: ResourceStore) -> None:
    """Threads of two servers accept exactly as many requests as the limit allows."""
    resource, _ = store.create(MODEL, "LIMITED", 10)
    both = [RateLimits(store.database), RateLimits(other_store.database)]
    with ThreadPoolExecutor(8) as pool:
        accepted = [*pool.map(lambda i: is_accepted(both[i % 2], resource.id, 10), range(40))]
    assert sum(accepted) == 10
    assert both[0].window(resource.id).num_requests == 10
    assert 0 < both[1].window(resource.id).reset_s <= WINDOW_S


def test_outage(tmp_path: Path) -> None:
    """Without its table every call is an `UnavailableError`."""
    engine = database.open_database("", tmp_path)
    with database.write_transaction(engine) as connection:
        connection.execute(text("DROP TABLE daguerre_rate_limits"))
    limits = RateLimits(engine)
    for call in (lambda: limits.window("r"), lambda: limits.charge("r", 1)):
        with pytest.raises(UnavailableError, match="cannot count the request"):
            call()
    engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def _machine_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    RateLimitMachine.database = database.open_database("", tmp_path_factory.mktemp("machine"))
    yield
    RateLimitMachine.database.dispose()


class RateLimitMachine(RuleBasedStateMachine):
    """Compares the rate limits with a list of all requests ever charged."""

    LIMITS = {"a": 1, "b": 3}
    database: Engine
    _runs = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(NOW_S)
        self.limits = RateLimits(self.database, lambda connection: self.clock())
        self.prefix = f"{next(self._runs)}-"
        self.charged: list[tuple[str, float]] = []
        self.active: list[tuple[str, float, int]] = []

    def window(self, id: str) -> Window:
        now_s = self.clock.now
        times = [time for other, time in self.charged if other == id and now_s - time < WINDOW_S]
        return Window(len(times), times[0] + WINDOW_S - now_s if times else 0.0)

    @rule(seconds=st.integers(0, 61) | st.sampled_from([59.5, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(id=st.sampled_from("ab"))
    def charge(self, id: str) -> None:
        before, limit = self.window(id), self.LIMITS[id]
        window, slot = self.limits.charge(self.prefix + id, limit)
        assert (slot is not None) == (before.num_requests < limit)
        if slot is not None:
            self.charged.append((id, self.clock.now))
            self.active.append((id, self.clock.now, slot))
        assert window == self.window(id)

    @rule(index=st.integers(0, 10), is_refunded=st.booleans())
    def end(self, index: int, is_refunded: bool) -> None:
        if not self.active:
            return
        id, time_s, slot = self.active.pop(index % len(self.active))
        if is_refunded:
            self.charged.remove((id, time_s))
            assert self.limits.refund(self.prefix + id, slot) == self.window(id)

    @invariant()
    def windows_match(self) -> None:
        for id in self.LIMITS:
            assert self.limits.window(self.prefix + id) == self.window(id)


RateLimitMachine.TestCase.settings = hypothesis_settings(
    max_examples=50, stateful_step_count=30, deadline=None
)
TestRateLimitMachine = RateLimitMachine.TestCase
