"""The turns of connections with unparsed data."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import ManualClock

from daguerre.server.http import parse_queue
from daguerre.server.http.parse_queue import ParseQueue


@dataclass(eq=False)
class Connection:
    """A connection with `num_slices` slices, each of which takes a second of the clock."""

    name: str
    num_slices: int
    log: list[str]
    clock: ManualClock = field(default_factory=lambda: ManualClock(0.0))
    is_aborted: bool = False

    def parse_slice(self) -> bool:
        self.log.append(self.name)
        self.clock.now += 1
        self.num_slices -= 1
        if self.num_slices < 0:
            raise RuntimeError("broken")
        return self.num_slices > 0

    def abort(self) -> None:
        self.is_aborted = True


async def run_turns(num_turns: int) -> None:
    for _ in range(num_turns):
        await asyncio.sleep(0)


def test_networks_take_turns() -> None:
    """A network with many connections does not delay those of another one."""
    log: list[str] = []

    async def run() -> None:
        queue = ParseQueue()
        for number in range(4):
            queue.add(Connection(f"a{number}", 2, log), "a")
        queue.add(Connection("b", 3, log), "b")
        await run_turns(1)

    asyncio.run(run())
    assert log == ["a0", "b", "a1", "b", "a2", "b", "a3", "a0", "a1", "a2", "a3"]


def test_time_per_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends after its time, and the next one continues."""
    monkeypatch.setattr(parse_queue, "TURN_S", 3.0)
    clock, log = ManualClock(0.0), []  # type: ignore[var-annotated]

    async def run() -> None:
        queue = ParseQueue(clock)
        queue.add(Connection("a", 5, log, clock), "a")
        for expected in (3, 5, 5):
            await run_turns(1)
            assert len(log) == expected

    asyncio.run(run())


def test_added_twice() -> None:
    """A connection that is added again is parsed once, and again after it was parsed."""
    log: list[str] = []

    async def run() -> None:
        queue, connection = ParseQueue(), Connection("a", 2, log)
        queue.add(connection, "a")
        queue.add(connection, "a")
        await run_turns(1)
        assert log == ["a", "a"]
        connection.num_slices = 1
        queue.add(connection, "a")
        await run_turns(1)

    asyncio.run(run())
    assert log == ["a", "a", "a"]


def test_failure() -> None:
    """A connection that cannot be parsed is closed, and the others continue."""
    log: list[str] = []
    reported: list[dict[str, Any]] = []
    broken = Connection("broken", 0, log)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        queue = ParseQueue()
        queue.add(broken, "a")
        queue.add(Connection("fine", 2, log), "a")
        await run_turns(1)

    asyncio.run(run())
    assert log == ["broken", "fine", "fine"]
    assert broken.is_aborted and isinstance(reported[0]["exception"], RuntimeError)
