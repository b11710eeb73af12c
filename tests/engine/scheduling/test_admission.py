"""Admission control: limits per model, and rejection of jobs that cannot meet their deadline."""

from __future__ import annotations

import pytest

from daguerre.engine.scheduling.admission import Admission, check_deadline
from daguerre.errors import QueueFullError
from daguerre.params import DEFAULT_CONTEXT, ImageParams, JobContext
from engine.networks import params


def admit(admission: Admission, params: ImageParams) -> None:
    admission.admit(params, DEFAULT_CONTEXT, lambda *_: (0, 0.0, 0.0))


def test_each_model_has_its_own_queue() -> None:
    """The limits of one model do not affect another model; a removed job frees its place."""
    admission = Admission(max_queued_jobs=1, max_running_jobs=1, max_prompt_bytes=1000)
    for _ in range(2):
        admit(admission, params())
    text = r"'toy' already has 2 jobs .*\(limit: 1 queued \+ 1 running\)"
    with pytest.raises(QueueFullError, match=text):
        admit(admission, params())
    admit(admission, params(model="other"))
    assert admission.num_jobs() == {"toy": 2, "other": 1}
    admission.remove(params())
    admit(admission, params())


def test_bytes_of_prompts() -> None:
    """Prompts are counted in bytes, not characters; a single large prompt is accepted."""
    admission = Admission(max_queued_jobs=99, max_running_jobs=1, max_prompt_bytes=100)
    admit(admission, params(prompt="猫" * 300))
    with pytest.raises(QueueFullError, match="have 900 bytes; .* exceed the limit of 100 bytes"):
        admit(admission, params(prompt="x"))
    admission.remove(params(prompt="猫" * 300))
    for _ in range(3):
        admit(admission, params(prompt="猫" * 10))
    with pytest.raises(QueueFullError, match="90 bytes"):
        admit(admission, params(prompt="猫" * 4))
    admit(admission, params(prompt="xxx"))


def test_late_job_is_not_counted() -> None:
    """A job that is rejected for its deadline does not count as accepted."""
    admission = Admission(max_queued_jobs=1, max_running_jobs=1, max_prompt_bytes=1000)
    with pytest.raises(QueueFullError, match="3 jobs are queued ahead"):
        admission.admit(params(), JobContext(timeout_s=1.0), lambda *_: (3, 9.0, 1.0))
    assert not any(admission.num_jobs().values())


def test_deadline_that_cannot_be_met() -> None:
    """A job that cannot end in time is rejected, with a safety factor for its wait.

    Retry-After is derived from the queue, as for other rejections. A job with none ahead is always
    accepted.
    """
    context = JobContext(timeout_s=10.0)
    check_deadline(context, 4, wait_s=4.0, own_s=2.0)
    check_deadline(context, 1, wait_s=0.0, own_s=10.0)
    with pytest.raises(QueueFullError, match="5 jobs are queued ahead.* remaining 10 s") as refusal:
        check_deadline(context, 5, wait_s=4.1, own_s=2.0)
    assert refusal.value.retry_after_s is None
    check_deadline(context, 0, wait_s=0.0, own_s=100.0)
    check_deadline(context, 1000, wait_s=0.0, own_s=0.0)
    check_deadline(DEFAULT_CONTEXT, 1000, wait_s=100.0, own_s=1.0)
