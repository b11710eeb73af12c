"""Admission control: limits per model, and rejection of jobs that cannot meet their deadline."""

from __future__ import annotations

import pytest

from daguerre.engine.scheduling.admission import Admission, check_deadline
from daguerre.errors import QueueFullError
from daguerre.params import DEFAULT_CONTEXT, JobContext
from engine.networks import params


def test_each_model_has_its_own_queue() -> None:
    """The limits of one model do not affect another model; a removed job frees its place."""
    admission = Admission(max_jobs=2, max_prompt_bytes=1000)
    for _ in range(2):
        admission.add(params())
    with pytest.raises(QueueFullError, match="'toy' already has 2 jobs .*limit: 2"):
        admission.check_capacity(params())
    admission.check_capacity(params(model="other"))
    admission.add(params(model="other"))
    assert admission.num_jobs() == {"toy": 2, "other": 1}
    admission.remove(params())
    admission.check_capacity(params())


def test_bytes_of_prompts() -> None:
    """Prompts are counted in bytes, not characters; a single large prompt is accepted."""
    admission = Admission(max_jobs=100, max_prompt_bytes=100)
    admission.check_capacity(params(prompt="猫" * 300))
    admission.add(params(prompt="猫" * 300))
    with pytest.raises(QueueFullError, match="have 900 bytes; .* exceed the limit of 100 bytes"):
        admission.check_capacity(params(prompt="x"))
    admission.remove(params(prompt="猫" * 300))
    for _ in range(3):
        admission.add(params(prompt="猫" * 10))
    with pytest.raises(QueueFullError, match="90 bytes"):
        admission.check_capacity(params(prompt="猫" * 4))
    admission.check_capacity(params(prompt="xxx"))


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
