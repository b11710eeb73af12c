"""The jobs of the next forward, with jobs as numbers and keys as letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType

import pytest

from daguerre.engine.scheduling.scheduler import PendingForward, Scheduler


def capped(max_batch_size: int, *, exclusive: str = "") -> Scheduler:
    """Batches up to `max_batch_size` rows of a key, but never the keys in `exclusive`."""

    def num_batch_jobs(key: Hashable, rows: Sequence[int]) -> int:
        limit = 1 if str(key) in exclusive else max_batch_size
        fitting = [n for n in range(1, len(rows) + 1) if sum(rows[:n]) <= limit]
        return max(fitting, default=1)

    return Scheduler(max_running_jobs=8, num_batch_jobs=num_batch_jobs)


def running(
    scheduler: Scheduler,
    forwards: dict[int, PendingForward],
    classes: Mapping[int, Hashable] = MappingProxyType({}),
) -> Scheduler:
    for job in forwards:
        scheduler.add(job, batch_class=classes.get(job))
    scheduler.start_queued()
    for job, forward in forwards.items():
        scheduler.set_pending(job, forward)
    return scheduler


@pytest.mark.parametrize(
    ("keys", "max_batch_size", "batch"),
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
def test_oldest_job_runs_with_its_key(keys: str, max_batch_size: int, batch: list[int]) -> None:
    """The next forward has the oldest job, and the oldest others with its key up to the limit."""
    forwards = {number: PendingForward(key, rows=1) for number, key in enumerate(keys, start=1)}
    assert running(capped(max_batch_size), forwards).schedule() == batch


def test_order_is_by_arrival_not_by_request() -> None:
    """An older job runs first even if it requests its forward later."""
    scheduler = running(capped(1), {1: PendingForward("a", 1), 2: PendingForward("a", 1)})
    scheduler.set_pending(2, PendingForward("a", 1))
    scheduler.set_pending(1, PendingForward("a", 1))
    assert scheduler.schedule() == [1]


def test_limit_counts_rows() -> None:
    """The limit counts rows: of three jobs with two rows each, two fit into four rows."""
    forwards = {number: PendingForward("a", rows=2) for number in (1, 2, 3)}
    assert running(capped(4), forwards).schedule() == [1, 2]


def test_batch_has_ascending_rows() -> None:
    """A batch has ascending rows, so that equal ones have one configuration."""
    forwards = {1: PendingForward("a", 2), 2: PendingForward("a", 1), 3: PendingForward("a", 2)}
    assert running(capped(8), forwards).schedule() == [2, 1, 3]


def test_late_arrival_is_batched_at_the_next_step() -> None:
    """A job that arrives while another denoises encodes at once and is batched at the next step."""
    scheduler = running(capped(4), {1: PendingForward("denoiser", 1)})
    assert scheduler.schedule() == [1]
    scheduler.set_pending(1, PendingForward("denoiser", 1))
    running(scheduler, {2: PendingForward("encoder", 1, is_encode=True)})
    assert scheduler.schedule() == [2]
    scheduler.set_pending(2, PendingForward("denoiser", 1))
    assert scheduler.schedule() == [1, 2]


@pytest.mark.parametrize("reason", ["batching does not help", "the batch is full"])
def test_encode_has_no_priority_without_capacity(reason: str) -> None:
    """A younger job's encode runs first only if the oldest job's forward has capacity."""
    is_full = reason == "the batch is full"
    scheduler = capped(1) if is_full else capped(4, exclusive="a")
    forwards = {1: PendingForward("a", 1), 2: PendingForward("encoder", 1, is_encode=True)}
    assert running(scheduler, forwards).schedule() == [1]


def test_jobs_run_to_their_end_without_batching() -> None:
    """Without batching, jobs of four steps end after forwards 4, 8 and 12."""
    scheduler = running(capped(1), {job: PendingForward("a", 1) for job in (1, 2, 3)})
    left = {1: 4, 2: 4, 3: 4}
    order = []
    while batch := scheduler.schedule():
        order += batch
        left[batch[0]] -= 1
        if not left[batch[0]]:
            scheduler.remove(batch[0])
    assert order == [1] * 4 + [2] * 4 + [3] * 4


def test_no_starvation_across_keys() -> None:
    """A single key among a stream of another runs once the jobs before it have ended."""
    scheduler = running(capped(4), {1: PendingForward("a", 1), 2: PendingForward("b", 1)})
    batches = []
    for newest in range(3, 6):
        running(scheduler, {newest: PendingForward("a", 1)})
        batches.append(scheduler.schedule())
        for job in batches[-1]:  # the last step of each
            scheduler.remove(job)
    assert batches == [[1, 3], [2], [4, 5]]


def test_removed_job_frees_its_row_and_its_place() -> None:
    """A removed job is in no further batch, and the first queued job gets its place."""
    scheduler = Scheduler(max_running_jobs=2, num_batch_jobs=lambda key, rows: len(rows))
    for job in (1, 2, 3, 4):
        scheduler.add(job)
    assert scheduler.start_queued() == [1, 2]
    assert scheduler.start_queued() == []
    for job in (1, 2):
        scheduler.set_pending(job, PendingForward("a", 1))
    scheduler.remove(1)
    assert scheduler.schedule() == [2]
    assert scheduler.start_queued() == [3]


def test_removed_while_queued() -> None:
    """A job that is removed from the queue is never admitted."""
    scheduler = Scheduler(max_running_jobs=1, num_batch_jobs=lambda key, rows: len(rows))
    scheduler.add(1)
    scheduler.add(2)
    scheduler.remove(1)
    assert scheduler.start_queued() == [2]


def test_job_without_a_forward_blocks_no_other() -> None:
    """A running job without a pending forward does not block the others."""
    scheduler = capped(4)
    scheduler.add(1)
    scheduler.add(2)
    scheduler.start_queued()
    scheduler.set_pending(2, PendingForward("a", 1))
    assert scheduler.schedule() == [2]


def with_tenants(scheduler: Scheduler, tenants: dict[int, str]) -> Scheduler:
    for job, tenant in tenants.items():
        scheduler.add(job, tenant)
    scheduler.start_queued()
    for job in tenants:
        scheduler.set_pending(job, PendingForward("a", 1))
    return scheduler


def test_tenants_alternate() -> None:
    """Without batching, a tenant's job waits for the running job of another tenant, and for none
    that has not begun."""
    scheduler = with_tenants(capped(1), {job: "busy" for job in (1, 2, 3, 4)})
    assert scheduler.schedule() == [1]
    with_tenants(scheduler, {5: "rare", 6: "rare"})
    order = []
    while batch := scheduler.schedule():
        order += batch
        scheduler.remove(batch[0])
    assert order == [1, 5, 2, 6, 3, 4]


def test_tenants_alternate_on_admission() -> None:
    """Free places go to the tenants alternately."""
    scheduler = Scheduler(max_running_jobs=1, num_batch_jobs=lambda key, rows: len(rows))
    for job in (1, 2, 3):
        scheduler.add(job, "busy")
    assert scheduler.start_queued() == [1]
    scheduler.add(4, "rare")
    for ended, started in ((1, 4), (4, 2), (2, 3)):
        scheduler.remove(ended)
        assert scheduler.start_queued() == [started]


def test_cancelled_jobs_use_no_turn() -> None:
    """A tenant that cancels jobs before they begin is not delayed for that."""
    scheduler = with_tenants(capped(1), {job: "a" for job in (1, 2, 3, 4)})
    assert scheduler.schedule() == [1]
    for job in (2, 3, 4):
        scheduler.remove(job)
    with_tenants(scheduler, {5: "b", 6: "b", 7: "a", 8: "b"})
    order = []
    while batch := scheduler.schedule():
        order += batch
        scheduler.remove(batch[0])
    assert order == [1, 5, 6, 7, 8]


def test_batch_classes_alternate() -> None:
    """Two batch classes get every second forward each, however many jobs one of them has. Within a
    class, the first job ends first."""
    classes = {1: "large", 2: "large", 3: "large", 4: "small"}
    forwards = {job: PendingForward(batch_class, 1) for job, batch_class in classes.items()}
    scheduler = running(capped(1), forwards, classes)
    left = {1: 3, 2: 3, 3: 3, 4: 3}
    order = []
    while batch := scheduler.schedule():
        order += batch
        left[batch[0]] -= 1
        if not left[batch[0]]:
            scheduler.remove(batch[0])
    assert order == [1, 4, 1, 4, 1, 4, 2, 2, 2, 3, 3, 3]


def test_new_batch_class_waits_for_one_forward_of_each() -> None:
    """A job of a new batch class waits for at most one forward of every other class. A class that
    returns is not ahead of those that stayed."""
    forwards = {1: PendingForward("a", 1), 2: PendingForward("b", 1)}
    scheduler = running(capped(1), forwards, {1: "a", 2: "b"})
    assert [scheduler.schedule() for _ in range(3)] == [[1], [2], [1]]
    running(scheduler, {3: PendingForward("c", 1)}, {3: "c"})
    assert [scheduler.schedule() for _ in range(4)] == [[2], [1], [3], [2]]
    scheduler.remove(3)
    running(scheduler, {4: PendingForward("c", 1)}, {4: "c"})
    assert [scheduler.schedule() for _ in range(3)] == [[1], [2], [4]]


def test_batch_classes_with_one_key_share_a_batch() -> None:
    """Jobs of two classes with one key share its forward, which counts for both classes."""
    forwards = {1: PendingForward("a", 1), 2: PendingForward("a", 1), 3: PendingForward("b", 1)}
    scheduler = running(capped(4), forwards, {1: "one", 2: "two", 3: "three"})
    assert [scheduler.schedule() for _ in range(3)] == [[1, 2], [3], [1, 2]]


def test_own_jobs_of_a_batch_class_come_first() -> None:
    """Without batching, a class's turn goes to its own job, even if all classes have one key."""
    scheduler = Scheduler(max_running_jobs=8, num_batch_jobs=lambda key, rows: 1)
    for job, batch_class in ((1, "one"), (2, "one"), (3, "two")):
        scheduler.add(job, batch_class=batch_class)
    scheduler.start_queued()
    for job in (1, 2, 3):
        scheduler.set_pending(job, PendingForward("a", 1))
    assert [scheduler.schedule() for _ in range(4)] == [[1], [3], [1], [3]]


def with_usual_cost(scheduler: Scheduler, cost_s: float) -> Scheduler:
    """Runs a job of this cost."""
    running(scheduler, {0: PendingForward("a", 1)})
    assert scheduler.schedule() == [0]
    scheduler.record_cost(0, cost_s)
    scheduler.remove(0)
    return scheduler


@pytest.mark.parametrize(("cost_s", "first"), [(1.9, 1), (2.0, 3), (20.0, 3)])
def test_expensive_job_makes_room_for_other_tenants(cost_s: float, first: int) -> None:
    """A job that has cost twice the usual lets the job of another tenant run before its end."""
    scheduler = with_usual_cost(capped(1), 1.0)
    for job, tenant in ((1, "a"), (2, "a"), (3, "b")):
        if job == 3:
            scheduler.start_queued()
            scheduler.set_pending(1, PendingForward("a", 1))
            assert scheduler.schedule() == [1]
            scheduler.charge(1, cost_s)
        scheduler.add(job, tenant)
    scheduler.start_queued()
    for job in (1, 2, 3):
        scheduler.set_pending(job, PendingForward("a", 1))
    assert scheduler.schedule() == [first]


def test_tenants_pay_for_the_cost() -> None:
    """Of two tenants, the one whose jobs cost four times as much gets a fourth of the jobs."""
    scheduler, finished = with_usual_cost(capped(1), 1.0), Counter[str]()
    tenants = {job: "ab"[job % 2] for job in range(1, 200)}
    cost_s = dict.fromkeys(tenants, 0.0)
    for job, tenant in tenants.items():
        scheduler.add(job, tenant)
    for _ in range(200):
        for job in scheduler.start_queued():
            scheduler.set_pending(job, PendingForward("a", 1))
        (job,) = scheduler.schedule()
        cost_s[job] += 0.5
        scheduler.charge(job, cost_s[job])
        scheduler.set_pending(job, PendingForward("a", 1))
        if cost_s[job] == {"a": 1.0, "b": 4.0}[tenants[job]]:
            scheduler.record_cost(job, cost_s[job])
            scheduler.remove(job)
            finished[tenants[job]] += 1
    assert 3 <= finished["a"] / finished["b"] <= 5


def test_order_of_one_tenant_is_kept() -> None:
    """An expensive job runs before the later jobs of its own tenant."""
    scheduler = with_usual_cost(capped(1), 1.0)
    running(scheduler, {1: PendingForward("a", 1), 2: PendingForward("a", 1)})
    for cost_s in (1.0, 10.0, 100.0):
        assert scheduler.schedule() == [1]
        scheduler.charge(1, cost_s)


def test_expensive_prompts_are_not_encoded_ahead() -> None:
    """Encode forwards run ahead of another job's step only within their usual cost."""
    scheduler = with_usual_cost(capped(4), 1.0)
    encoding = PendingForward("encoder", 1, is_encode=True)
    running(scheduler, {1: PendingForward("denoiser", 1), 2: encoding})
    assert scheduler.schedule() == [2]
    scheduler.charge(2, 2.0)
    assert scheduler.schedule() == [1]


def test_charge_of_an_ended_job() -> None:
    """A job that ends in its last forward is not charged for it."""
    scheduler = with_usual_cost(capped(1), 1.0)
    scheduler.charge(0, 100.0)
    assert scheduler.schedule() == []
