"""A request's own copy of the sampler: the image is the stock pipeline's for every sampler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import REASON, Bench, Request
from .test_previews import SAMPLERS

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUEST = Request("a red fox on the snow", steps=4)
# As in outdated files, which lack `clip_sample` and `steps_offset`: the pipeline corrects them.
OUTDATED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("PNDMScheduler", {}),
    ("TCDScheduler", {}),
    ("KDPM2DiscreteScheduler", {}),
    ("KDPM2AncestralDiscreteScheduler", {}),
    ("SASolverScheduler", {}),
    ("DDIMParallelScheduler", {}),
    ("EDMEulerScheduler", {}),
)


def with_sampler(pipeline: Any, name: str, config: dict[str, Any]) -> Any:
    """A stock pipeline with the same networks and a sampler with this configuration."""
    is_outdated = "Flow" not in name and "EDM" not in name
    sampler = getattr(diffusers, name)(**(OUTDATED if is_outdated else {}), **config)
    options = {} if "Flow" in name else {"requires_safety_checker": False}
    return type(pipeline)(**{**pipeline.components, "scheduler": sampler}, **options)


@pytest.fixture(scope="module")
def benches(folder_of: Callable[[str], Path]) -> Callable[[str], Bench]:
    made: dict[str, Bench] = {}
    return lambda family: made.setdefault(family, Bench(folder_of(family)))


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of KDPM2
@pytest.mark.parametrize(("name", "config"), (*SAMPLERS, *OTHERS))
def test_image_is_the_stock_pipelines(
    name: str, config: dict[str, Any], benches: Callable[[str], Bench]
) -> None:
    """The copy of a sampler has what the pipeline corrected, and no state of an earlier request."""
    bench = benches("stable-diffusion-3" if "Flow" in name else "stable-diffusion")
    loaded = bench.model.weights_key
    pipeline = loaded.pipeline = with_sampler(loaded.pipeline, name, config)
    pipeline.set_progress_bar_config(disable=True)
    found = [bench.images([REQUEST])[0] for _ in range(2)]
    image = pipeline(
        prompt=REQUEST.prompt,
        width=REQUEST.size[0],
        height=REQUEST.size[1],
        num_inference_steps=REQUEST.steps,
        guidance_scale=bench.model.guidance,
        generator=torch.Generator().manual_seed(REQUEST.seed),
    ).images[0]
    assert found == [np.asarray(image).tobytes()] * 2
