"""Fixtures of the checkpoints' tests: tiny checkpoints, stock images, and the engine's loop.

Everything needs the extra daguerre[diffusers]; functions import it, not the module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.forward import Inputs, Network, Outputs
from daguerre.engine.job import Job
from daguerre.engine.loop import Loop
from daguerre.engine.pipeline import Pipeline
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions
from daguerre.models.diffusers.shared_components import SharedComponents
from daguerre.params import Event, ImageParams, JobFailed, JobSucceeded, ModelInfo, StepCompleted
from daguerre.storage.artifact_cache import ArtifactCache

# Set by `python -m bench cuda`. Only some of the tests run on other devices.
DEVICE = os.environ.get("DAGUERRE_TEST_DEVICE", "cpu")
REASON = "the extra daguerre[diffusers] is not installed"
MODEL = "tiny"


@pytest.fixture(autouse=True)
def _torch_settings() -> Iterator[None]:
    """Restores gradients, which a model turns off in its thread. Tiny networks are fastest on one
    thread."""
    try:
        import torch
    except ImportError:  # the test is skipped
        yield
        return
    was_on, num_threads = torch.is_grad_enabled(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
    torch.set_grad_enabled(was_on)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the checkpoint of a family, made on first use."""
    pytest.importorskip("diffusers", reason=REASON)
    from . import tiny, tiny_llm, tiny_t5

    makers = {**tiny.MAKERS, **tiny_t5.MAKERS, **tiny_llm.MAKERS}
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = makers[name](tmp_path_factory.mktemp("checkpoints") / name)
        return made[name]

    return folder


@dataclass(frozen=True)
class Request:
    """A client's request, with steps and guidance of its own."""

    prompt: str
    seed: int = 1
    steps: int = 4
    guidance: float | None = None
    negative_prompt: str = ""
    size: tuple[int, int] = (16, 24)
    num_previews: int = 0

    def params(self) -> ImageParams:
        width, height = self.size
        return ImageParams(
            MODEL,
            self.prompt,
            self.negative_prompt,
            width,
            height,
            seed=self.seed,
            num_previews=self.num_previews,
        )


@dataclass
class PerRequestModel:
    """A model whose requests have their own steps and guidance, looked up by seed."""

    model: DiffusersModel
    requests: Sequence[Request] = ()

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    @property
    def max_batch_size(self) -> Mapping[str, int]:
        return self.model.max_batch_size

    @property
    def num_bytes(self) -> int:
        return self.model.num_bytes

    def load(self) -> Mapping[str, Network]:
        return self.model.load()

    def batch_class(self, params: ImageParams) -> None:
        return None

    def pipeline(self, params: ImageParams) -> Pipeline:
        request = next(request for request in self.requests if request.seed == params.seed)
        guidance = self.model.guidance if request.guidance is None else request.guidance
        return self.model.run(params, request.steps, guidance)


@dataclass
class OneJobAtATime:
    """A network that is exact for any batch: it evaluates the rows of one job at a time."""

    network: Network
    rows: int
    calls: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def fingerprint(self) -> str:
        return f"{self.network.fingerprint}, one job at a time"

    def __call__(self, inputs: Inputs) -> Outputs:
        import torch

        arrays: dict[str, Any] = {
            name: value for name, value in inputs.items() if torch.is_tensor(value)
        }
        total = len(next(iter(arrays.values())))
        self.calls.append(total)
        parts = [
            self.network(
                {**inputs, **{name: a[start : start + self.rows] for name, a in arrays.items()}}
            )
            for start in range(0, total, self.rows)
        ]
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


class Bench:
    """A loaded model in the engine's loop.

    `config` holds fields of `PipelineConfig` and of `ServingOptions`.
    """

    def __init__(
        self,
        folder: Path,
        store: ArtifactCache | None = None,
        shared: SharedComponents | None = None,
        **config: Any,
    ) -> None:
        serving = {name: config.pop(name) for name in ServingOptions.__slots__ if name in config}
        pipeline = PipelineConfig(folder, **{"executor": "eager", "device": DEVICE, **config})
        loaded = LoadedCheckpoint(pipeline, store=store, shared=shared)
        options = ServingOptions(**{"max_batch_size": 8, **serving})
        self.model = DiffusersModel(MODEL, loaded, options)
        self.networks = dict(self.model.load())
        self._requests_model = PerRequestModel(self.model)
        self.loop = Loop(
            {MODEL: self._requests_model},
            CertificateStore(),
            8,
            time.perf_counter,
            on_end=lambda job: None,
        )
        self.loop.model_manager._loaded = {MODEL: self.networks}

    def arrive(self, requests: Sequence[Request]) -> list[list[Event]]:
        """Submits the requests; returns the events of each, which the loop's steps extend."""
        self._requests_model.requests = requests
        events: list[list[Event]] = [[] for _ in requests]
        for number, request in enumerate(requests):
            self.loop.add(Job(number, request.params(), events[number].append, accepted_s=0.0))
        return events

    def run(self, requests: Sequence[Request]) -> list[list[Event]]:
        """Runs the requests concurrently; returns the events of each."""
        events = self.arrive(requests)
        while self.loop.has_jobs:
            self.loop.run_iteration()
        return events

    def images(self, requests: Sequence[Request]) -> list[bytes]:
        return [image_bytes(events[-1]) for events in self.run(requests)]


def image_bytes(event: Event) -> bytes:
    assert isinstance(event, JobSucceeded), event
    return event.image.pixels.tobytes()


def failure(event: Event) -> Exception:
    assert isinstance(event, JobFailed), event
    return event.error


def steps(events: Sequence[Event]) -> list[tuple[int, int]]:
    return [(event.index, event.total) for event in events if isinstance(event, StepCompleted)]


def stock_images(
    folder: Path,
    bench: Bench,
    requests: Sequence[Request],
    prepare: Callable[[Any], None] = lambda pipeline: None,
    **parts: Any,
) -> list[bytes]:
    """Images of the stock pipeline, loaded separately and called as its documentation says."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, **parts)
    return pipeline_images(pipeline, bench, requests, prepare)


def pipeline_images(
    pipeline: Any,
    bench: Bench,
    requests: Sequence[Request],
    prepare: Callable[[Any], None] = lambda pipeline: None,
) -> list[bytes]:
    pipeline.to(DEVICE).set_progress_bar_config(disable=True)
    images = []
    for request in requests:
        prepare(pipeline)
        images.append(_stock_image(pipeline, bench.model, request))
    return images


def _stock_image(pipeline: Any, model: DiffusersModel, request: Request) -> bytes:
    import torch

    guidance = model.guidance if request.guidance is None else request.guidance
    family = model.family
    optional = {
        family.guidance_name: None if family.guiders else guidance,
        "negative_prompt": request.negative_prompt or family.empty_negative_prompt,
    }
    for name in family.guiders:
        setattr(pipeline, name, getattr(pipeline, name).new(guidance_scale=guidance))
    image = pipeline(
        prompt=request.prompt,
        width=request.size[0],
        height=request.size[1],
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
        **{name: value for name, value in optional.items() if value not in (None, "")},
        **family.call_kwargs,
        **family.steps_kwargs(request.steps),
    ).images[0]
    return np.asarray(image).tobytes()
