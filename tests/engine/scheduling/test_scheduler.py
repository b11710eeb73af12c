"""Who runs next, with jobs as numbers and keys as letters."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType

import pytest

from daguerre.engine.scheduling.scheduler import PendingForward, Scheduler


def capped(max_batch_size: int, *, exclusive: str = "") -> Scheduler:
    """Shares up to `max_batch_size` rows of a key, but nothing of the keys in `exclusive`."""

    def num_sharing(key: Hashable, rows: Sequence[int]) -> int:
        limit = 1 if str(key) in exclusive else max_batch_size
        fitting = [n for n in range(1, len(rows) + 1) if sum(rows[:n]) <= limit]
        return max(fitting, default=1)

    return Scheduler(max_running_jobs=8, num_sharing=num_sharing)


def running(
    scheduler: Scheduler,
    asks: dict[int, PendingForward],
    lanes: Mapping[int, Hashable] = MappingProxyType({}),
) -> Scheduler:
    for job in asks:
        scheduler.add(job, batch_class=lanes.get(job))
    scheduler.admit()
    for job, ask in asks.items():
        scheduler.ask(job, ask)
    return scheduler


@pytest.mark.parametrize(
    ("keys", "max_batch_size", "group"),
    [
        ("a", 4, [1]),
        ("aa", 4, [1, 2]),
        ("aaaaaa", 4, [1, 2, 3, 4]),
        ("aaa", 1, [1]),
        ("ab", 4, [1]),
        ("aba", 4, [1, 3]),
        ("abbb", 4, [1]),
        ("", 4, []),
    ],
)
def test_oldest_runs_with_its_like(keys: str, max_batch_size: int, group: list[int]) -> None:
    """The oldest job is in the next forward, with the oldest others of its key up to the cap."""
    asks = {number: PendingForward(key, rows=1) for number, key in enumerate(keys, start=1)}
    assert running(capped(max_batch_size), asks).schedule() == group


def test_order_is_by_arrival_not_by_ask() -> None:
    """A job that asks later than a younger one still goes first."""
    scheduler = running(capped(1), {1: PendingForward("a", 1), 2: PendingForward("a", 1)})
    scheduler.ask(2, PendingForward("a", 1))
    scheduler.ask(1, PendingForward("a", 1))
    assert scheduler.schedule() == [1]


def test_cap_counts_rows() -> None:
    """The cap is one of rows: three jobs of two rows are five rows too many for four."""
    asks = {number: PendingForward("a", rows=2) for number in (1, 2, 3)}
    assert running(capped(4), asks).schedule() == [1, 2]


def test_group_has_ascending_rows() -> None:
    """A group comes by ascending rows, so that a split has one order."""
    asks = {1: PendingForward("a", 2), 2: PendingForward("a", 1), 3: PendingForward("a", 2)}
    assert running(capped(8), asks).schedule() == [2, 1, 3]


def test_late_arrival_joins_at_the_next_step() -> None:
    """A job that arrives while another denoises encodes at once and shares the next step."""
    scheduler = running(capped(4), {1: PendingForward("denoiser", 1)})
    assert scheduler.schedule() == [1]
    scheduler.ask(1, PendingForward("denoiser", 1))
    running(scheduler, {2: PendingForward("encoder", 1, is_encode=True)})
    assert scheduler.schedule() == [2]
    scheduler.ask(2, PendingForward("denoiser", 1))
    assert scheduler.schedule() == [1, 2]


@pytest.mark.parametrize("reason", ["sharing brings nothing", "the group is full"])
def test_encode_waits_where_it_cannot_help(reason: str) -> None:
    """A younger job's encode is put first only where the oldest's forward has room for it."""
    is_full = reason == "the group is full"
    scheduler = capped(1) if is_full else capped(4, exclusive="a")
    asks = {1: PendingForward("a", 1), 2: PendingForward("encoder", 1, is_encode=True)}
    assert running(scheduler, asks).schedule() == [1]


def test_one_job_after_the_other_where_sharing_brings_nothing() -> None:
    """Without sharing, jobs of four steps end at forwards 4, 8 and 12: nobody takes turns."""
    scheduler = running(capped(1), {job: PendingForward("a", 1) for job in (1, 2, 3)})
    left = {1: 4, 2: 4, 3: 4}
    order = []
    while group := scheduler.schedule():
        order += group
        left[group[0]] -= 1
        if not left[group[0]]:
            scheduler.remove(group[0])
    assert order == [1] * 4 + [2] * 4 + [3] * 4


def test_no_starvation_across_keys() -> None:
    """A lone key among an endless stream of another runs when the jobs before it have ended."""
    scheduler = running(capped(4), {1: PendingForward("a", 1), 2: PendingForward("b", 1)})
    groups = []
    for newest in range(3, 6):
        running(scheduler, {newest: PendingForward("a", 1)})
        groups.append(scheduler.schedule())
        for job in groups[-1]:  # one step is left of each
            scheduler.remove(job)
    assert groups == [[1, 3], [2], [4, 5]]


def test_removed_job_frees_its_row_and_its_place() -> None:
    """A job that leaves is in no group from then on, and the first that waits gets its place."""
    scheduler = Scheduler(max_running_jobs=2, num_sharing=lambda key, rows: len(rows))
    for job in (1, 2, 3, 4):
        scheduler.add(job)
    assert scheduler.admit() == [1, 2]
    assert scheduler.admit() == []
    for job in (1, 2):
        scheduler.ask(job, PendingForward("a", 1))
    scheduler.remove(1)
    assert scheduler.schedule() == [2]
    assert scheduler.admit() == [3]


def test_removed_while_waiting() -> None:
    """A job that leaves the queue is never let in."""
    scheduler = Scheduler(max_running_jobs=1, num_sharing=lambda key, rows: len(rows))
    scheduler.add(1)
    scheduler.add(2)
    scheduler.remove(1)
    assert scheduler.admit() == [2]


def test_job_that_asks_nothing_is_not_waited_for() -> None:
    """A running job without a forward leaves the others their turn."""
    scheduler = capped(4)
    scheduler.add(1)
    scheduler.add(2)
    scheduler.admit()
    scheduler.ask(2, PendingForward("a", 1))
    assert scheduler.schedule() == [2]


def owned(scheduler: Scheduler, owners: dict[int, str]) -> Scheduler:
    for job, owner in owners.items():
        scheduler.add(job, owner)
    scheduler.admit()
    for job in owners:
        scheduler.ask(job, PendingForward("a", 1))
    return scheduler


def test_owners_take_turns() -> None:
    """Where jobs run one after the other, one owner's only job waits for one of another's many,
    and for none that came before it but has not begun."""
    scheduler = owned(capped(1), {job: "busy" for job in (1, 2, 3, 4)})
    assert scheduler.schedule() == [1]
    owned(scheduler, {5: "rare", 6: "rare"})
    order = []
    while group := scheduler.schedule():
        order += group
        scheduler.remove(group[0])
    assert order == [1, 5, 2, 6, 3, 4]


def test_owners_take_turns_at_the_door() -> None:
    """The places that become free go to the owners in turns."""
    scheduler = Scheduler(max_running_jobs=1, num_sharing=lambda key, rows: len(rows))
    for job in (1, 2, 3):
        scheduler.add(job, "busy")
    assert scheduler.admit() == [1]
    scheduler.add(4, "rare")
    for gone, admitted in ((1, 4), (4, 2), (2, 3)):
        scheduler.remove(gone)
        assert scheduler.admit() == [admitted]


def test_cancelled_jobs_have_used_no_turn() -> None:
    """Who withdraws what has not begun is not put behind those who did not."""
    scheduler = owned(capped(1), {job: "a" for job in (1, 2, 3, 4)})
    assert scheduler.schedule() == [1]
    for job in (2, 3, 4):
        scheduler.remove(job)
    owned(scheduler, {5: "b", 6: "b", 7: "a", 8: "b"})
    order = []
    while group := scheduler.schedule():
        order += group
        scheduler.remove(group[0])
    assert order == [1, 5, 6, 7, 8]


def test_lanes_take_turns() -> None:
    """However many jobs one lane has, and though they came first, another's job has every second
    forward; within a lane the first still ends first."""
    lanes = {1: "large", 2: "large", 3: "large", 4: "small"}
    asks = {job: PendingForward(batch_class, 1) for job, batch_class in lanes.items()}
    scheduler = running(capped(1), asks, lanes)
    left = {1: 3, 2: 3, 3: 3, 4: 3}
    order = []
    while group := scheduler.schedule():
        order += group
        left[group[0]] -= 1
        if not left[group[0]]:
            scheduler.remove(group[0])
    assert order == [1, 4, 1, 4, 1, 4, 2, 2, 2, 3, 3, 3]


def test_late_lane_waits_for_one_forward_of_each() -> None:
    """A job of a new lane has its first forward after one of every other lane, at most; a lane that
    has come back is not ahead of those that stayed."""
    asks = {1: PendingForward("a", 1), 2: PendingForward("b", 1)}
    scheduler = running(capped(1), asks, {1: "a", 2: "b"})
    assert [scheduler.schedule() for _ in range(3)] == [[1], [2], [1]]
    running(scheduler, {3: PendingForward("c", 1)}, {3: "c"})
    assert [scheduler.schedule() for _ in range(4)] == [[2], [1], [3], [2]]
    scheduler.remove(3)
    running(scheduler, {4: PendingForward("c", 1)}, {4: "c"})
    assert [scheduler.schedule() for _ in range(3)] == [[1], [2], [4]]


def test_lanes_that_may_share_do() -> None:
    """Jobs of two lanes with one key share its forward, and both lanes were served."""
    asks = {1: PendingForward("a", 1), 2: PendingForward("a", 1), 3: PendingForward("b", 1)}
    scheduler = running(capped(4), asks, {1: "one", 2: "two", 3: "three"})
    assert [scheduler.schedule() for _ in range(3)] == [[1, 2], [3], [1, 2]]


def test_own_jobs_of_a_lane_come_first() -> None:
    """Where lanes ask for one key and nothing is shared, a lane's turn is its own."""
    scheduler = Scheduler(max_running_jobs=8, num_sharing=lambda key, rows: 1)
    for job, batch_class in ((1, "one"), (2, "one"), (3, "two")):
        scheduler.add(job, batch_class=batch_class)
    scheduler.admit()
    for job in (1, 2, 3):
        scheduler.ask(job, PendingForward("a", 1))
    assert [scheduler.schedule() for _ in range(4)] == [[1], [3], [1], [3]]
