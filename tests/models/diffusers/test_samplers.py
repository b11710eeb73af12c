"""A request's own copy of the sampler: the image is the stock pipeline's for every sampler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import samplers
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.samplers import EDM, FLOW, NOISE, Sampler
from daguerre.models.diffusers.serving_options import ServingOptions

from .conftest import REASON, Bench, Request, stock_images
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


KARRAS = Sampler("DPMSolverMultistepScheduler", (("use_karras_sigmas", True),))
FLOW_OPTIONS = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}


def chosen(class_name: str, **options: Any) -> Sampler:
    return samplers.read("sampler", {"class": class_name, **options})


def stock(folder: Path, bench: Bench, sampler: Sampler) -> list[bytes]:
    """Images of the stock pipeline, whose sampler was replaced as diffusers documents it."""

    def replace(pipeline: Any) -> None:
        scheduler = getattr(diffusers, sampler.class_name)
        options = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in sampler.options
        }
        pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **options)

    return stock_images(folder, bench, [REQUEST], replace)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of KDPM2
@pytest.mark.parametrize(
    ("family", "sampler"),
    [
        *(
            ("stable-diffusion", chosen(name))
            for name in samplers.SAMPLERS[NOISE]
            if name != "LMSDiscreteScheduler"  # needs SciPy
        ),
        ("stable-diffusion-xl", KARRAS),
        ("stable-diffusion-xl", chosen("UniPCMultistepScheduler", disable_corrector=[0])),
        (
            "stable-diffusion-xl",
            chosen("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
        ),
        ("stable-diffusion-3", chosen("FlowMatchHeunDiscreteScheduler")),
        ("stable-diffusion-3", chosen("FlowMatchEulerDiscreteScheduler", shift=5)),
        ("flux", chosen("UniPCMultistepScheduler", **FLOW_OPTIONS)),
    ],
    ids=str,
)
def test_sampler_of_the_catalog(
    family: str, sampler: Sampler, folder_of: Callable[[str], Path]
) -> None:
    """The image is the stock pipeline's with the same class and options."""
    bench = Bench(folder_of(family), sampler=sampler)
    expected = stock(folder_of(family), bench, sampler)
    assert [bench.images([REQUEST]) for _ in range(2)] == [expected, expected]
    assert str(sampler) in bench.model.info.description


def test_ids_with_other_samplers_share_the_weights(folder_of: Callable[[str], Path]) -> None:
    """Each model ID has its own sampler, also while both are in use."""
    folder = folder_of("stable-diffusion")
    bench = Bench(folder)
    expected = bench.images([REQUEST])
    other = DiffusersModel("other", bench.model.weights_key, ServingOptions(sampler=KARRAS))
    assert other.load() == bench.networks
    assert bench.images([REQUEST]) == expected
    bench._requests_model.model = other
    assert bench.images([REQUEST]) == stock(folder, bench, KARRAS) != expected


def test_table_of_samplers() -> None:
    """All classes that diffusers calls compatible, but one of another formulation and one whose
    noise does not depend on the seed. LCM, SA and TCD name the others, but not the reverse."""
    compatible = {each.__name__ for each in diffusers.EulerDiscreteScheduler().compatibles}
    compatible -= {"DPMSolverSDEScheduler", "EDMEulerScheduler"}
    others = {"LCMScheduler", "SASolverScheduler", "TCDScheduler"}
    assert {*samplers.SAMPLERS[NOISE]} == compatible | others
    for kind in (FLOW, EDM):
        for name in samplers.SAMPLERS[kind]:
            assert hasattr(diffusers, name)


@pytest.mark.parametrize(
    ("family", "sampler", "words"),
    [
        (
            "stable-diffusion",
            chosen("DPMSolverMultistepScheduler", use_karas_sigmas=True),
            "unknown key 'use_karas_sigmas'; did you mean 'use_karras_sigmas'?",
        ),
        (
            "stable-diffusion",
            chosen("EulerDiscreteScheduler", x=1),
            "unknown key 'x'; allowed: beta_end, beta_schedule, beta_start, final_sigmas_type",
        ),
        (
            "stable-diffusion",
            chosen("UniPCMultistepScheduler", solver_p="x"),
            "unknown key 'solver_p'",
        ),
        (
            "stable-diffusion",
            chosen("DPMSolverMultistepScheduler", use_karras_sigmas="yes"),
            "use_karras_sigmas is 'yes'; it must be true or false",
        ),
        (
            "stable-diffusion",
            chosen("DPMSolverMultistepScheduler", solver_order=2.5),
            "solver_order is 2.5; it must be an integer",
        ),
        (
            "stable-diffusion",
            chosen("EulerDiscreteScheduler", num_train_timesteps=10**12),
            "num_train_timesteps is 1000000000000; it must be an integer from 0 to 100000",
        ),
        (
            "stable-diffusion",
            chosen("EulerDiscreteScheduler", beta_end=float("inf")),
            "beta_end is inf; it must be a number",
        ),
        *(
            (
                "stable-diffusion",
                chosen(name, beta_end=1e30),
                "makes no image: its sampler computes NaN or infinity; correct the",
            )
            for name in ("EulerDiscreteScheduler", "DDIMScheduler")
        ),
        (
            "stable-diffusion-3",
            chosen("FlowMatchEulerDiscreteScheduler", shift=1e38),
            "; check that its components, and the options of its sampler, belong together",
        ),
        (
            "stable-diffusion",
            chosen("DPMSolverMultistepScheduler", algorithm_type="dpm"),
            "algorithm_type is 'dpm'; it must be one of dpmsolver, dpmsolver++, sde-dpmsolver",
        ),
        (
            "stable-diffusion",
            chosen("EulerDiscreteScheduler", beta_start=float("nan")),
            "beta_start is nan; it must be a number",
        ),
        (
            "stable-diffusion",
            chosen("UniPCMultistepScheduler", disable_corrector=["x"]),
            "disable_corrector is ('x',); it must be a list in which each is an integer from 0",
        ),
        (
            "stable-diffusion",
            chosen("FlowMatchEulerDiscreteScheduler"),
            "class is 'FlowMatchEulerDiscreteScheduler', but the checkpoint's own sampler is"
            " PNDMScheduler, for a denoiser of the kind 'noise'; it must be one of DDIMScheduler",
        ),
        (
            "stable-diffusion-3",
            chosen("EulerDiscreteScheduler"),
            "it must be one of FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler",
        ),
        (
            "stable-diffusion-3",
            chosen("DPMSolverMultistepScheduler", flow_shift=3.0),
            "with DPMSolverMultistepScheduler add"
            ' prediction_type = "flow_prediction", use_flow_sigmas = true',
        ),
        (
            "stable-diffusion-3",
            chosen(
                "UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True
            ),
            "flow_shift is missing; UniPCMultistepScheduler does not read shift = 3.0 of the",
        ),
        (
            "sana",
            chosen("FlowMatchEulerDiscreteScheduler"),
            "shift is missing; FlowMatchEulerDiscreteScheduler does not read flow_shift = ",
        ),
        (
            "stable-diffusion",
            chosen("DPMSolverMultistepScheduler", use_karras_sigmas=True, use_beta_sigmas=True),
            "DPMSolverMultistepScheduler refuses the options: ",
        ),
        (
            "flux",
            chosen("FlowMatchHeunDiscreteScheduler"),
            "with FlowMatchHeunDiscreteScheduler, the checkpoint in ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value),
)
def test_refused_sampler(
    family: str, sampler: Sampler, words: str, folder_of: Callable[[str], Path]
) -> None:
    with pytest.raises(SettingsError) as caught:
        Bench(folder_of(family), sampler=sampler)
    message = caught.value.message
    assert message.startswith("model 'tiny', sampler: ") and words in message, message
    assert "\n" not in message
