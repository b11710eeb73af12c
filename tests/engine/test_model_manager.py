"""Models that load on demand and are evicted, with a memory that the test counts."""

from __future__ import annotations

import gc
import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.forward import Network
from daguerre.engine.interface import LoadStats
from daguerre.engine.job import Job
from daguerre.engine.loop import Loop
from daguerre.engine.model_manager import RETRY_S
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.errors import InvalidRequestError, UnavailableError
from daguerre.params import Event, JobSucceeded
from engine.harness import error, events, make, pixels, ready, run, until
from engine.networks import Clock, ToyModel, ToyNetwork, params


@dataclass
class Memory:
    total: int
    log: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)


@dataclass
class Evictable(ToyModel):
    """Needs `num_bytes` of a memory that models on one device share."""

    memory: Memory = field(default_factory=lambda: Memory(0))
    num_bytes: int = 10
    weights_key: str = ""
    device: str = "cpu"
    preload: bool = False
    is_broken: bool = False
    fault: str = ""
    idle_unload_s: float = 0.0
    on_unload: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.weights_key = self.weights_key or self.name

    def free_bytes(self) -> int:
        return self.memory.total - sum(self.memory.held.values())

    def load(self) -> Mapping[str, Network]:
        self.memory.log.append(f"+{self.name}")
        if self.is_broken:
            raise RuntimeError("no weights")
        self.memory.held[self.weights_key] = self.num_bytes
        return super().load()

    def unload(self) -> None:
        self.on_unload()
        self.memory.log.append(f"-{self.name}")
        self.memory.held.pop(self.weights_key, None)


def evictable(memory: Memory, clock: Clock, *names: str, **options: Any) -> list[Evictable]:
    return [
        Evictable(ToyNetwork("denoiser", clock), name=name, memory=memory, **options)
        for name in names
    ]


class LoopHarness:
    """A loop with these models, and the events of its jobs."""

    def __init__(self, clock: Clock, models: Sequence[ToyModel]) -> None:
        self.loop = Loop(
            {model.name: model for model in models},
            CertificateStore(),
            8,
            clock,
            on_end=lambda job: None,
        )
        self.events: list[list[Event]] = []

    def submit(self, *names: str) -> None:
        for name in names:
            self.events.append([])
            number = len(self.events)
            job_params = params(seed=number, model=name)
            self.loop.add(Job(number, job_params, self.events[-1].append, accepted_s=0.0))

    def finish(self) -> list[Event]:
        while self.loop.has_jobs:
            self.loop.run_iteration()
        return [each[-1] for each in self.events]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_first_request_loads(clock: Clock) -> None:
    """A model is loaded once, on its first request, and stays while memory suffices."""
    memory = Memory(total=20)
    harness = LoopHarness(clock, evictable(memory, clock, "one", "two"))
    assert harness.loop.model_manager.preload_ids() == [] and memory.log == []
    harness.submit("one", "two", "one")
    assert all(isinstance(last, JobSucceeded) for last in harness.finish())
    assert memory.log == ["+one", "+two"]
    assert harness.loop.model_manager.loads["one"] == LoadStats(1, num_bytes=10)


def test_least_recently_used_is_evicted(clock: Clock) -> None:
    """The least recently used models are evicted, and no more than needed."""
    memory = Memory(total=20)
    harness = LoopHarness(clock, evictable(memory, clock, "one", "two", "three"))
    for name in ("one", "two", "one", "three", "two"):
        harness.submit(name)
        harness.finish()
    assert memory.log == ["+one", "+two", "-two", "+three", "-one", "+two"]
    assert not harness.loop.model_manager.is_loaded("one") and harness.loop.model_manager.is_loaded(
        "three"
    )


def test_image_is_the_same_after_a_reload(clock: Clock) -> None:
    """A model that was evicted and loaded again gives the same bits."""
    harness = LoopHarness(clock, evictable(Memory(total=10), clock, "one", "two"))
    for name in ("one", "two", "one"):
        harness.submit(name)
        harness.finish()
    job_params = params(seed=1, model="one")
    again: list[Event] = []
    harness.loop.add(Job(9, job_params, again.append, accepted_s=0.0))
    harness.finish()
    assert pixels(again[-1]) == pixels(harness.events[0][-1])


def test_busy_model_is_not_evicted(clock: Clock) -> None:
    """A busy model stays until its jobs end. Then the model that waits for memory is loaded, before
    later jobs of the first one."""
    memory = Memory(total=10)
    harness = LoopHarness(clock, evictable(memory, clock, "one", "two"))
    harness.submit("one", "two")
    harness.loop.run_iteration()
    harness.submit("one", "one")
    assert all(isinstance(last, JobSucceeded) for last in harness.finish())
    assert memory.log == ["+one", "-one", "+two", "-two", "+one"]


def test_job_that_waits_for_memory_can_be_cancelled(clock: Clock) -> None:
    """A job that is cancelled while it waits for memory does not block later jobs."""
    memory = Memory(total=10)
    harness = LoopHarness(clock, evictable(memory, clock, "one", "two"))
    harness.submit("one", "two", "one")
    harness.loop.cancel(harness.loop._jobs[2])
    while harness.loop.has_jobs:
        harness.loop.run_iteration()
    assert memory.log == ["+one"] and harness.events[1] == []
    assert isinstance(harness.events[2][-1], JobSucceeded)


def test_models_with_shared_weights_stay_together(clock: Clock) -> None:
    """Two models with one checkpoint need its memory once, and are evicted together."""
    memory = Memory(total=10)
    models = evictable(memory, clock, "slow", "fast", weights_key="sd")
    harness = LoopHarness(clock, [*models, *evictable(memory, clock, "other")])
    harness.submit("slow", "fast")
    harness.finish()
    assert memory.log == ["+slow", "+fast"]
    harness.submit("other")
    harness.finish()
    assert memory.log[2:] == ["-slow", "-fast", "+other"]


def test_eviction_is_per_device(clock: Clock) -> None:
    """Models on another device, or that are not evictable, stay loaded."""
    memory, device = Memory(total=10), Memory(total=10)
    models: list[ToyModel] = [
        *evictable(memory, clock, "one", "two"),
        *evictable(device, clock, "far", device="cuda:0"),
        ToyModel(ToyNetwork("denoiser", clock), name="fixed"),
    ]
    harness = LoopHarness(clock, models)
    assert harness.loop.model_manager.preload_ids() == ["fixed"]
    harness.loop.model_manager.load("fixed")
    for name in ("far", "fixed", "one", "two"):
        harness.submit(name)
        harness.finish()
    assert device.log == ["+far"] and memory.log == ["+one", "-one", "+two"]
    assert harness.loop.model_manager.is_loaded("fixed")


def test_model_larger_than_memory_is_tried(clock: Clock) -> None:
    """If there is nothing to evict, the model is loaded anyway: its size is an estimate."""
    memory = Memory(total=5)
    harness = LoopHarness(clock, evictable(memory, clock, "one"))
    harness.submit("one")
    assert isinstance(harness.finish()[0], JobSucceeded)


def test_model_that_cannot_be_loaded(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Its requests fail with 503, others succeed, and it is not tried again for each request."""
    memory = Memory(total=40)
    bad, good = evictable(memory, clock, "bad", "good")
    bad.is_broken = True
    harness = LoopHarness(clock, [bad, good])
    harness.submit("bad", "good", "bad")
    first, second, third = harness.finish()
    assert isinstance(error(first), UnavailableError) and isinstance(error(third), UnavailableError)
    assert "'bad' could not be loaded" in str(error(first)) and isinstance(second, JobSucceeded)
    assert memory.log == ["+bad", "+good"] and "no weights" in caplog.text
    for retry_s in (RETRY_S, 2 * RETRY_S):  # the time doubles with each failure
        clock.now_s += retry_s - 1
        harness.submit("bad")
        harness.finish()
        clock.now_s += 1
        harness.submit("bad")
        harness.finish()
    assert memory.log[2:] == ["+bad", "+bad"]
    manager = harness.loop.model_manager
    assert manager.loads["bad"].num_failed == 3
    assert manager.load_failures() == {"bad": "an error occurred while it was loaded"}
    bad.is_broken = False
    clock.now_s += 4 * RETRY_S
    harness.submit("bad")
    assert isinstance(harness.finish()[-1], JobSucceeded) and memory.log[4:] == ["+bad"]
    assert manager.load_failures() == {}


def test_idle_model_is_unloaded(clock: Clock) -> None:
    """The idle time counts from the end of the last job. The next request loads the model again and
    gives the same bits; a model without an idle time stays."""
    memory = Memory(total=40)
    models = evictable(memory, clock, "one", idle_unload_s=60)
    harness = LoopHarness(clock, [*models, *evictable(memory, clock, "stays")])
    assert harness.loop.unload_idle() is None
    harness.submit("stays")
    harness.finish()
    harness.submit("one")
    harness.loop.run_iteration()
    clock.now_s += 1000  # a slow forward
    harness.finish()
    clock.now_s += 59
    assert harness.loop.unload_idle() == pytest.approx(1) and memory.log == ["+stays", "+one"]
    clock.now_s += 1
    assert harness.loop.unload_idle() is None and memory.log[2:] == ["-one"]
    again: list[Event] = []
    harness.loop.add(Job(9, params(seed=2, model="one"), again.append, accepted_s=0.0))
    harness.finish()
    assert pixels(again[-1]) == pixels(harness.events[1][-1]) and memory.log[3:] == ["+one"]


def test_busy_model_is_not_idle(clock: Clock) -> None:
    """A model with a job stays, however long a forward takes."""
    memory = Memory(total=40)
    harness = LoopHarness(clock, evictable(memory, clock, "one", idle_unload_s=60))
    harness.submit("one")
    for _ in range(2):
        harness.loop.run_iteration()
        clock.now_s += 1000
        assert harness.loop.unload_idle() is None and harness.loop.has_jobs
    assert all(isinstance(last, JobSucceeded) for last in harness.finish())
    assert memory.log == ["+one"]


@pytest.mark.parametrize(("other_idle_s", "is_unloaded"), [(0, False), (90, False), (30, True)])
def test_idle_models_with_shared_weights(
    other_idle_s: float, is_unloaded: bool, clock: Clock
) -> None:
    """Models with one checkpoint are unloaded together, when the idle time of each is over."""
    memory = Memory(total=40)
    one, other = evictable(memory, clock, "one", "other", weights_key="sd", idle_unload_s=60)
    other.idle_unload_s = other_idle_s
    harness = LoopHarness(clock, [one, other])
    harness.submit("one", "other")
    harness.finish()
    clock.now_s += 60
    harness.loop.unload_idle()
    assert memory.log[2:] == (["-one", "-other"] if is_unloaded else [])


def test_idle_engine_unloads() -> None:
    """The engine's thread wakes without a job when the idle time is over."""
    memory = Memory(total=40)
    (model,) = evictable(memory, Clock(), "one", preload=True, idle_unload_s=0.01)

    async def main() -> None:
        async with ready(make_timed(model)) as engine:
            await until(lambda: memory.log == ["+one", "-one"])
            await until(lambda: not engine.stats().loaded)
            assert isinstance((await events(engine, params(model="one")))[-1], JobSucceeded)

    run(main())


def make_timed(model: ToyModel) -> ThreadEngine:
    """An engine whose clock is real."""
    return ThreadEngine([model], max_queued_jobs=64, max_running_jobs=8, clock=time.perf_counter)


def test_model_with_a_fault_is_not_served(clock: Clock) -> None:
    """Its running and later jobs get 503, also those of a model with the same weights. Others are
    served."""
    memory = Memory(total=40)
    models = evictable(memory, clock, "bad", "also", weights_key="sd")
    harness = LoopHarness(clock, [*models, *evictable(memory, clock, "good")])
    harness.submit("bad", "also", "good")
    harness.loop.run_iteration()
    for model in models:
        model.fault = "its weights have changed on disk"
    manager = harness.loop.model_manager
    assert manager.load_failures() == dict.fromkeys(("bad", "also"), models[0].fault)
    first, second, third = harness.finish()
    assert "'bad' failed: its weights have changed" in str(error(first))
    assert isinstance(error(second), UnavailableError) and isinstance(third, JobSucceeded)
    assert memory.log == ["+bad", "+also", "+good", "-bad", "-also"]
    harness.submit("bad")
    assert isinstance(error(harness.finish()[-1]), UnavailableError)
    assert len(memory.log) == 5 and set(manager.load_failures()) == {"bad", "also"}


@pytest.mark.parametrize("preload", [False, True])
def test_failed_load_leaves_nothing_in_memory(
    preload: bool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What had been loaded is freed, although it may be a cycle, as a network and its proxy are."""
    caplog.set_level(logging.CRITICAL)  # a captured record would keep the traceback
    half: list[weakref.ref[list[Any]]] = []

    def fail() -> None:
        weights = Weights()
        weights.append(weights)
        half.append(weakref.ref(weights))
        raise RuntimeError("a tensor is missing")

    bad = Evictable(name="bad", memory=Memory(total=40), preload=preload, on_load=fail)
    gc.disable()
    try:
        if preload:
            run(fail_to_start(bad))
        else:
            harness = LoopHarness(clock, [bad])
            harness.submit("bad")
            harness.finish()
        assert half[0]() is None
    finally:
        gc.enable()


class Weights(list[Any]):
    """A list that can be referred to weakly."""


async def fail_to_start(model: ToyModel) -> None:
    engine = make(model)
    await engine.start()
    await until(lambda: bool(engine.stats().failure))
    await engine.stop()


def test_unsupported_parameters_fail_after_loading(clock: Clock) -> None:
    """Parameters that a model does not support fail as soon as it is loaded."""

    def reject() -> None:
        raise InvalidRequestError("too long", param="prompt")

    (model,) = evictable(Memory(total=10), clock, "one")
    model.on_pipeline = reject
    harness = LoopHarness(clock, [model])
    harness.submit("one")
    assert isinstance(error(harness.finish()[0]), InvalidRequestError)


def test_preload_loads_what_fits(caplog: pytest.LogCaptureFixture) -> None:
    """Preloaded models that do not fit into memory wait for their first request."""
    memory, clock = Memory(total=10), Clock()
    models = evictable(memory, clock, "one", "two", preload=True)

    async def main() -> None:
        async with ready(make(*models)) as engine:
            assert (
                memory.log == ["+one"]
                and "no free memory for two: it needs about 0.0 GB" in caplog.text
            )
            assert isinstance((await events(engine, params(model="two")))[-1], JobSucceeded)
            assert memory.log == ["+one", "-one", "+two"]
        assert memory.log[3:] == ["-two"] and not memory.held

    run(main())


def test_stop_unloads_every_model(caplog: pytest.LogCaptureFixture) -> None:
    """`stop` unloads the loaded models, also after one that fails to unload."""
    memory, clock = Memory(total=30), Clock()
    one, two = evictable(memory, clock, "one", "two", preload=True)

    def fail() -> None:
        raise RuntimeError("stuck")

    one.on_unload = fail

    async def main() -> None:
        async with ready(make(one, two, *evictable(memory, clock, "unused"))):
            assert memory.log == ["+one", "+two"]
        assert memory.log[2:] == ["-two"] and "cannot unload one" in caplog.text

    run(main())


@pytest.mark.parametrize("variables", [{}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}])
def test_description_of_a_failure(
    variables: dict[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line, and names the variables that restrict the runtime."""
    words = [f"{name}={value}" for name, value in variables.items()]
    monkeypatch.setattr("daguerre.engine.model_manager.runtime_fingerprint", lambda: words)
    manager = LoopHarness(clock, [ToyModel()]).loop.model_manager
    expected = "RuntimeError: bad combination" + (f" (variables: {words[0]})" if words else "")
    assert manager.describe("toy", RuntimeError("bad\ncombination")) == expected
