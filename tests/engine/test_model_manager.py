"""Models that come on first use and go by least use, with a memory that the test counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.forward import Network
from daguerre.engine.job import Job
from daguerre.engine.loop import Loop
from daguerre.engine.model_manager import RETRY_S
from daguerre.errors import InvalidRequestError, UnavailableError
from daguerre.params import Event, JobSucceeded
from engine.networks import Clock, ToyModel, ToyNetwork, params
from engine.scenes import error, events, make, pixels, ready, run


@dataclass
class Memory:
    total: int
    log: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)


@dataclass
class Movable(ToyModel):
    """Takes `num_bytes` of a memory that models of one place share."""

    memory: Memory = field(default_factory=lambda: Memory(0))
    num_bytes: int = 10
    weights_key: str = ""
    device: str = "cpu"
    preload: bool = False
    is_broken: bool = False

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
        self.memory.log.append(f"-{self.name}")
        self.memory.held.pop(self.weights_key, None)


def movable(memory: Memory, clock: Clock, *names: str, **options: Any) -> list[Movable]:
    return [
        Movable(ToyNetwork("denoiser", clock), name=name, memory=memory, **options)
        for name in names
    ]


class Scene:
    """A loop over these models, and jobs that arrive one after the other."""

    def __init__(self, clock: Clock, models: Sequence[ToyModel]) -> None:
        self.loop = Loop(
            {model.name: model for model in models},
            CertificateStore(),
            8,
            clock,
            on_end=lambda job: None,
        )
        self.events: list[list[Event]] = []

    def arrive(self, *names: str) -> None:
        for name in names:
            self.events.append([])
            number = len(self.events)
            asked = params(seed=number, model=name)
            self.loop.add(Job(number, asked, self.events[-1].append, stage_started_s=0.0))

    def end(self) -> list[Event]:
        while self.loop.has_jobs:
            self.loop.turn()
        return [each[-1] for each in self.events]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_first_use_loads(clock: Clock) -> None:
    """A model comes with its first request, once, and stays while there is room."""
    memory = Memory(total=20)
    scene = Scene(clock, movable(memory, clock, "one", "two"))
    assert scene.loop.model_manager.preload_names() == [] and memory.log == []
    scene.arrive("one", "two", "one")
    assert all(isinstance(last, JobSucceeded) for last in scene.end())
    assert memory.log == ["+one", "+two"]


def test_least_used_goes(clock: Clock) -> None:
    """What was used longest ago makes room, and not more than is needed."""
    memory = Memory(total=20)
    scene = Scene(clock, movable(memory, clock, "one", "two", "three"))
    for name in ("one", "two", "one", "three", "two"):
        scene.arrive(name)
        scene.end()
    assert memory.log == ["+one", "+two", "-two", "+three", "-one", "+two"]
    assert not scene.loop.model_manager.is_loaded("one") and scene.loop.model_manager.is_loaded(
        "three"
    )


def test_picture_is_the_same_after_its_model_was_away(clock: Clock) -> None:
    """A model that went and came draws the bits that it drew before."""
    scene = Scene(clock, movable(Memory(total=10), clock, "one", "two"))
    for name in ("one", "two", "one"):
        scene.arrive(name)
        scene.end()
    asked = params(seed=1, model="one")
    again: list[Event] = []
    scene.loop.add(Job(9, asked, again.append, stage_started_s=0.0))
    scene.end()
    assert pixels(again[-1]) == pixels(scene.events[0][-1])


def test_work_is_not_interrupted(clock: Clock) -> None:
    """A model that works stays until it is done; whoever waits for its room gets it then, and
    before those who came later for the one that works."""
    memory = Memory(total=10)
    scene = Scene(clock, movable(memory, clock, "one", "two"))
    scene.arrive("one", "two")
    scene.loop.turn()
    scene.arrive("one", "one")
    assert all(isinstance(last, JobSucceeded) for last in scene.end())
    assert memory.log == ["+one", "-one", "+two", "-two", "+one"]


def test_waiting_for_room_can_be_given_up(clock: Clock) -> None:
    """Who leaves before there was room leaves nothing behind, and holds nobody up."""
    memory = Memory(total=10)
    scene = Scene(clock, movable(memory, clock, "one", "two"))
    scene.arrive("one", "two", "one")
    scene.loop.cancel(scene.loop._jobs[2])
    while scene.loop.has_jobs:
        scene.loop.turn()
    assert memory.log == ["+one"] and scene.events[1] == []
    assert isinstance(scene.events[2][-1], JobSucceeded)


def test_ids_of_one_source_stay_together(clock: Clock) -> None:
    """Two ids of one checkpoint take its memory once, and go only when neither works."""
    memory = Memory(total=10)
    models = movable(memory, clock, "slow", "fast", weights_key="sd")
    scene = Scene(clock, [*models, *movable(memory, clock, "other")])
    scene.arrive("slow", "fast")
    scene.end()
    assert memory.log == ["+slow", "+fast"]
    scene.arrive("other")
    scene.end()
    assert memory.log[2:] == ["-slow", "-fast", "+other"]


def test_other_places_make_no_room(clock: Clock) -> None:
    """What lies on another device, or cannot be moved, stays where it is."""
    memory, device = Memory(total=10), Memory(total=10)
    models: list[ToyModel] = [
        *movable(memory, clock, "one", "two"),
        *movable(device, clock, "far", device="cuda:0"),
        ToyModel(ToyNetwork("denoiser", clock), name="fixed"),
    ]
    scene = Scene(clock, models)
    assert scene.loop.model_manager.preload_names() == ["fixed"]
    scene.loop.model_manager.load("fixed")
    for name in ("far", "fixed", "one", "two"):
        scene.arrive(name)
        scene.end()
    assert device.log == ["+far"] and memory.log == ["+one", "-one", "+two"]
    assert scene.loop.model_manager.is_loaded("fixed")


def test_model_larger_than_memory_is_tried(clock: Clock) -> None:
    """Where nothing more can make room the estimate may be wrong, so the model is loaded."""
    memory = Memory(total=5)
    scene = Scene(clock, movable(memory, clock, "one"))
    scene.arrive("one")
    assert isinstance(scene.end()[0], JobSucceeded)


def test_model_that_cannot_be_loaded(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Its requests fail with 503, others go on, and it is not tried anew for each request."""
    memory = Memory(total=40)
    bad, good = movable(memory, clock, "bad", "good")
    bad.is_broken = True
    scene = Scene(clock, [bad, good])
    scene.arrive("bad", "good", "bad")
    first, second, third = scene.end()
    assert isinstance(error(first), UnavailableError) and isinstance(error(third), UnavailableError)
    assert "'bad' could not be loaded" in str(error(first)) and isinstance(second, JobSucceeded)
    assert memory.log == ["+bad", "+good"] and "no weights" in caplog.text
    bad.is_broken = False
    clock.now_s += RETRY_S
    scene.arrive("bad")
    assert isinstance(scene.end()[-1], JobSucceeded) and memory.log[2:] == ["+bad"]


def test_refusals_come_after_loading(clock: Clock) -> None:
    """What a model cannot do is told as soon as it is there."""

    def refuse() -> None:
        raise InvalidRequestError("too long", param="prompt")

    (model,) = movable(Memory(total=10), clock, "one")
    model.on_pipeline = refuse
    scene = Scene(clock, [model])
    scene.arrive("one")
    assert isinstance(error(scene.events[0][-1]), InvalidRequestError)


def test_start_loads_what_fits(caplog: pytest.LogCaptureFixture) -> None:
    """Of the models of the start those that find no room wait for their first request."""
    memory, clock = Memory(total=10), Clock()
    models = movable(memory, clock, "one", "two", preload=True)

    async def scene() -> None:
        async with ready(make(*models)) as engine:
            assert memory.log == ["+one"] and "two does not fit into memory now" in caplog.text
            assert isinstance((await events(engine, params(model="two")))[-1], JobSucceeded)
            assert memory.log == ["+one", "-one", "+two"]

    run(scene())
