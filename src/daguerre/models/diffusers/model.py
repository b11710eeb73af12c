"""A checkpoint in diffusers format as a model of the engine: its stock pipeline, unmodified.

Each request runs the pipeline's own call in a coroutine, with a sampler and a generator of its own,
and yields a forward wherever the pipeline calls a text encoder, the denoiser or the decoder. Knows
nothing of other requests. torch is imported when the model is loaded, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from daguerre.cpu import num_cores
from daguerre.engine.forward import ForwardRequest, Network, Outputs, Preview, Stage
from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.errors import InternalError, InvalidRequestError, SettingsError
from daguerre.models.diffusers import caches, memory
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.embedded.model import MIN_CORES_TO_SHARE
from daguerre.params import BatchingMode, ImageParams, ModelInfo

if TYPE_CHECKING:
    import torch

    from daguerre.models.diffusers.previews.latent_rgb import LatentToRgb

DTYPES = ("float32", "bfloat16")
DEFAULT_MAX_ROWS = 8
AT_START = "start"
# Samplers that evaluate the denoiser twice in a step, but for the last one.
_ASKING_TWICE = ("Heun", "KDPM2")
LOADS = (AT_START, "first use")


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What the catalog says of a model id. None takes the family's steps and guidance, and as many
    rows as are worth a trial."""

    steps: int | None = None
    guidance: float | None = None
    max_rows: int | None = None
    mode: BatchingMode = "exact"
    name: str = ""
    load: str = AT_START


class DiffusersModel:
    """Implements `daguerre.engine.pipeline.EvictableModel` under the id `model`."""

    def __init__(self, model: str, stock: LoadedCheckpoint, options: ServingOptions) -> None:
        checkpoint = stock.checkpoint
        self.family = checkpoint.family
        self.steps = options.steps or self.family.steps
        self.guidance = self.family.guidance if options.guidance is None else options.guidance
        if self.family.guidance is None and options.guidance is not None:
            raise SettingsError(
                f"model {model!r}: guidance is {options.guidance:g}, but {checkpoint.folder} is"
                " distilled to have none; leave it out"
            )
        if stock.cache and stock.cache.method not in self.family.caches:
            fitting = ", ".join(sorted(self.family.caches)) or "none"
            raise SettingsError(
                f"model {model!r}: cache.method is {stock.cache.method!r}, which does not fit"
                f" {self.family.pipeline}; those that do: {fitting}"
            )
        if stock.cache:
            is_twice = any(kind in checkpoint.sampler for kind in _ASKING_TWICE)
            num_calls = 2 * self.steps - 1 if is_twice else self.steps
            caches.check_steps(f"model {model!r}, cache", stock.cache, num_calls)
        max_rows = options.max_rows or (DEFAULT_MAX_ROWS if _is_wide(stock) else 1)
        self.max_batch_size: Mapping[str, int] = {self.family.denoiser: max_rows}
        self._model, self._stock = model, stock
        self._batching = options.mode
        self._name = options.name or checkpoint.folder.name
        self._created = checkpoint.created
        self.preload = options.load == AT_START

    @property
    def weights_key(self) -> LoadedCheckpoint:
        return self._stock

    @property
    def device(self) -> str:
        return self._stock.device

    @property
    def num_bytes(self) -> int:
        return self._stock.num_bytes

    def free_bytes(self) -> int:
        return memory.free(self._stock.device)

    def unload(self) -> None:
        self._stock.unload()

    @property
    def info(self) -> ModelInfo:
        """The weights are named once they are loaded."""
        cheaper = f", cache {self._stock.cache}" if self._stock.cache else ""
        cheaper += f", {self._stock.quantization}" if self._stock.quantization else ""
        return ModelInfo(
            model=self._model,
            weights_sha256=self._stock.weights_sha256,
            created=self._created,
            name=self._name,
            description=f"{self.family.pipeline} from {self._stock.checkpoint.folder}{cheaper}",
            batching=self._batching,
        )

    def load(self) -> Mapping[str, Network]:
        return self._stock.load()

    def batch_class(self, params: ImageParams) -> Hashable:
        return (params.width, params.height)

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self.run(params, self.steps, self.guidance)

    def run(self, params: ImageParams, steps: int, guidance: float | None) -> Pipeline:
        """`pipeline` with another number of steps and another guidance. Raises
        `InvalidRequestError` for what this checkpoint cannot follow."""
        self._check(params, guidance)
        pipeline = self._stock.copy(guidance)
        arguments = self._arguments(params, steps, guidance)
        per_step = self.family.num_forwards(guidance)
        draw = partial(self._forwards, pipeline, lambda: _picture(pipeline(**arguments)), per_step)
        colours = self._stock.colours
        if not params.num_previews or colours is None:
            return draw()
        return _watched(draw, pipeline, colours, params)

    def _arguments(
        self, params: ImageParams, steps: int, guidance: float | None
    ) -> Mapping[str, Any]:
        import torch

        given: dict[str, Any] = {
            "prompt": params.prompt,
            "width": params.width,
            "height": params.height,
            "num_inference_steps": steps,
            # On the CPU, whatever the device: the same noise for a seed everywhere.
            "generator": torch.Generator("cpu").manual_seed(params.seed),
            "output_type": "pil",
            **self.family.call_kwargs,
        }
        if guidance is not None and not self.family.guiders:
            given[self.family.guidance_name] = guidance
        if params.negative_prompt:  # an empty one is one that was not given
            given["negative_prompt"] = params.negative_prompt
        elif self.family.empty_negative_prompt and self.family.is_guided(guidance):
            given["negative_prompt"] = self.family.empty_negative_prompt
        return given

    def _check(self, params: ImageParams, guidance: float | None) -> None:
        self._check_length("prompt", params.prompt)
        if not params.negative_prompt:
            return
        if not self._follows_negative(guidance):
            raise InvalidRequestError(
                f"negative_prompt: the model {params.model!r} makes no prediction that one could"
                " go into; leave it out or send an empty one",
                param="negative_prompt",
            )
        self._check_length("negative_prompt", params.negative_prompt)

    def _follows_negative(self, guidance: float | None) -> bool:
        denoiser = getattr(self._stock.pipeline, self.family.denoiser)
        # A network that takes the guidance itself, as those of latent consistency models.
        is_distilled = getattr(denoiser.config, "time_cond_proj_dim", None) is not None
        has_negative = self.family.has_negative_prompt and self.family.is_guided(guidance)
        return has_negative and not is_distilled

    def _check_length(self, param: str, text: str) -> None:
        from daguerre.models.diffusers.token_count import num_quoted, num_tokens

        is_negative = param == "negative_prompt"
        num, limit = num_quoted(self.family, self._stock.pipeline, text)
        if num > limit:
            raise InvalidRequestError(
                f"{param} has {num} tokens in quotation marks, those around each text included; the"
                f" model {self._model!r} reads {limit} at most",
                param=param,
            )
        num, limit = num_tokens(self.family, self._stock.pipeline, text, is_negative)
        if num > limit:
            raise InvalidRequestError(
                f"{param} is {num} tokens long, those of its start and end included; the"
                f" model {self._model!r} reads {limit} at most",
                param=param,
            )

    def _forwards(
        self,
        pipeline: Any,
        call: Callable[[], Pixels],
        per_step: int,
        preview: Preview | None = None,
    ) -> Pipeline:
        from daguerre.models.diffusers import coroutine

        num_asked, outputs = 0, None
        with closing(coroutine.run(call)) as asking:
            while True:
                try:
                    question = self._ask(asking.send, outputs)
                except StopIteration as end:
                    pixels: Pixels = end.value
                    return pixels
                step = None
                if question.network == self.family.denoiser:
                    num_asked += 1
                    if num_asked % per_step == 0:
                        step = (num_asked // per_step, len(pipeline.scheduler.timesteps))
                stage = self._stage(question.network)
                forward = ForwardRequest(question.network, question.inputs, stage, step, preview)
                if question.network not in self.family.text_encoders:
                    outputs = yield forward
                elif (outputs := self._stock.embeddings.get(forward)) is None:
                    outputs = yield forward
                    self._stock.embeddings.put(forward, outputs)

    def _ask(self, send: Callable[[Outputs | None], Any], outputs: Outputs | None) -> Any:
        """The next question. What comes from no generator cannot be made again from a seed."""
        import torch

        before = self._random_states()
        question = send(outputs)
        if not all(map(torch.equal, before, self._random_states())):
            sampler = type(self._stock.pipeline.scheduler).__name__
            raise InternalError(
                f"the sampler {sampler} draws numbers that no seed decides, so it is not served;"
                " choose another in the checkpoint's scheduler folder"
            )
        return question

    def _random_states(self) -> list[torch.Tensor]:
        """Of the process's own generators, from which no request may draw."""
        import torch

        states = [torch.get_rng_state()]
        if self._stock.device != "cpu":
            states.append(torch.cuda.get_rng_state(self._stock.device))
        return states

    def _stage(self, network: str) -> Stage:
        if network == self.family.denoiser:
            return "denoise"
        return "decode" if network == DECODER else "encode"


def _watched(
    draw: Callable[[Preview], Pipeline], pipeline: Any, colours: LatentToRgb, params: ImageParams
) -> Pipeline:
    """The same forwards, with what their steps make of the picture."""
    from daguerre.models.diffusers.previews.latent_rgb import unscale_latents
    from daguerre.models.diffusers.previews.predicted_x0 import PredictedX0

    estimate = PredictedX0(pipeline.scheduler)

    def preview(outputs: Outputs) -> Pixels:
        latents = unscale_latents(pipeline.vae, estimate.latents, params.width, params.height)
        return colours.pixels(latents)

    with estimate.attach():
        return (yield from draw(preview))


def _is_wide(stock: LoadedCheckpoint) -> bool:
    """On few cores two requests take twice the time of one, and to prove and time it takes some
    forwards that are minutes long there. A cache remembers one request at a time."""
    if stock.cache:
        return False
    num_threads = stock.num_threads or num_cores()
    return stock.device != "cpu" or num_threads >= MIN_CORES_TO_SHARE


def _picture(output: Any) -> Pixels:
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise InvalidRequestError(
            "the checkpoint's safety checker refuses the picture of this prompt and seed",
            param="prompt",
        )
    pixels: Pixels = np.asarray(output.images[0].convert("RGB"))
    return pixels
