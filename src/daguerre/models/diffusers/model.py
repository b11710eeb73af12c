"""A checkpoint in diffusers format as a model of the engine: its stock pipeline, unmodified.

Each request runs the pipeline's call in a coroutine, with its own sampler and random generator, and
yields a forward for each call of a text encoder, the denoiser or the decoder. Loading the model
imports torch, importing this module does not.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from daguerre.cpu import can_batch
from daguerre.engine.forward import ForwardRequest, Network, Preview, Stage
from daguerre.engine.pipeline import Pipeline, Pixels, map_forwards
from daguerre.errors import InvalidRequestError, SettingsError
from daguerre.models.diffusers import caches, clip_skip, dry_run, memory_probe, samplers
from daguerre.models.diffusers.checkpoint import DECODER
from daguerre.models.diffusers.finite import check_decoder
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.location import name_of
from daguerre.models.diffusers.native_size import enlarge, native_size
from daguerre.models.diffusers.serving_options import STARTUP, ServingOptions
from daguerre.params import ImageParams, ModelInfo

if TYPE_CHECKING:
    from daguerre.models.diffusers.proxies import TorchNetwork

DEFAULT_MAX_BATCH_SIZE = 8
logger = logging.getLogger(__name__)

# Samplers that call the denoiser twice in each step but the last.
_TWO_CALL_SAMPLERS = ("Heun", "KDPM2")


class DiffusersModel:
    """Implements `daguerre.engine.pipeline.EvictableModel` under the ID `model_id`."""

    def __init__(self, model_id: str, loaded: LoadedCheckpoint, options: ServingOptions) -> None:
        self.family = loaded.checkpoint.family
        self.steps = options.steps or self.family.steps
        self.guidance = self.family.guidance if options.guidance is None else options.guidance
        self.preload = options.load == STARTUP
        self.idle_unload_s = options.idle_unload_s or 0.0
        self.weights_key, self.device = loaded, loaded.device
        self.unload = loaded.unload
        self._id, self._loaded, self._options = model_id, loaded, options
        self._stages: dict[str, Stage] = {self.family.denoiser: "denoise", DECODER: "decode"}
        self._created = loaded.checkpoint.created
        self._native_size = native_size(loaded.checkpoint, options.native_size)
        self._drawn_sizes = self._native_size.enlarged_sizes(options.extra_sizes)
        self._where_sampler = f"model {model_id!r}, sampler"
        self._sampler: Any = None  # diffusers' object, if the catalog chooses it; made when loaded
        if options.sampler:
            own = loaded.checkpoint.sampler_config
            samplers.check_kind(self._where_sampler, options.sampler, own)
        if options.clip_skip:
            clip_skip.check(f"model {model_id!r}", options.clip_skip, loaded.checkpoint)
        if self.family.guidance is None and options.guidance is not None:
            raise SettingsError(
                f"model {model_id!r}: guidance is {options.guidance:g}, but"
                f" {loaded.checkpoint.path} is distilled and takes none; remove it"
            )
        is_fast = self.device != "cpu" or can_batch(loaded.num_threads)
        default = DEFAULT_MAX_BATCH_SIZE if is_fast else 1
        max_batch_size = options.max_batch_size or default
        if loaded.config.cache:
            self._check_cache(loaded.config.cache)
            max_batch_size = 1  # forwards of different requests use different states of the cache
        self.max_batch_size: Mapping[str, int] = {self.family.denoiser: max_batch_size}

    def check(self) -> None:
        """Raises `SettingsError` for what `load` would refuse, as far as headers and configurations
        show it. Reads no weights."""
        from daguerre.models.diffusers.empty_checkpoint import EmptyCheckpoint

        DiffusersModel(self._id, EmptyCheckpoint(self._loaded.config), self._options).load()

    def load(self) -> Mapping[str, Network]:
        """Loads the checkpoint, unless another model ID has. Raises `SettingsError` if it is
        damaged or makes no image."""
        was_loaded, sampler = self._loaded.pipeline is not None, self._options.sampler
        if sampler:  # before the weights are read
            samplers.check_options(self._where_sampler, sampler)
        try:
            networks = self._loaded.load()
            self._log_distillation()
            if sampler:
                own = self._loaded.pipeline.scheduler
                self._sampler = samplers.make(self._where_sampler, sampler, own)
            self._dry_run_or_refuse(networks)
        except Exception:
            if not was_loaded:
                self.unload()
            raise
        return networks

    def _log_distillation(self) -> None:
        """A name is only a hint, so the log says that it decided the defaults."""
        found, options = self._loaded.checkpoint.distillation, self._options
        if found and (options.steps is None or options.guidance is None):
            logger.info(
                "model %r is %s; change them with the keys steps and guidance", self._id, found
            )

    @property
    def num_bytes(self) -> int:
        return self._loaded.num_bytes

    @property
    def fault(self) -> str:
        return self._loaded.digest.fault

    def free_bytes(self) -> int:
        return memory_probe.free_bytes(self.device)

    @property
    def info(self) -> ModelInfo:
        """`weights_sha256` is empty until the model is loaded."""
        path, config = self._loaded.checkpoint.path, self._loaded.config
        source = f"{self.family.pipeline} from {path}"
        return ModelInfo(
            id=self._id,
            weights_sha256=self._loaded.digest.sha256,
            created=self._created,
            name=self._options.name or name_of(path),
            description=", ".join((source, *config.changes(), *self._options.changes())),
            batching=self._options.batching,
            extra_sizes=self._options.extra_sizes,
            drawn_sizes=self._drawn_sizes,
            max_prompt_tokens=self._loaded.checkpoint.max_prompt_tokens,
            options=f"{config} {self._options}",
        )

    def batch_class(self, params: ImageParams) -> Hashable:
        return self._native_size.drawn(params.width, params.height)

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self.run(params, self.steps, self.guidance)

    def run(self, params: ImageParams, steps: int, guidance: float | None) -> Pipeline:
        """Like `pipeline`, with these steps and this guidance.

        Raises `InvalidRequestError` for a request that the checkpoint does not support.
        """
        self._check(params, guidance)
        check = partial(check_decoder, self.family.denoiser)
        width, height = self._native_size.drawn(params.width, params.height)
        drawn = replace(params, width=width, height=height)
        checked = map_forwards(self._forwards(drawn, steps, guidance), check)
        return enlarge(map_forwards(checked, self._loaded.embeddings.evaluate), params)

    def _check_cache(self, cache: caches.Cache) -> None:
        if cache.method not in self.family.caches:
            supported = ", ".join(sorted(self.family.caches)) or "none"
            raise SettingsError(
                f"model {self._id!r}: cache.method is {cache.method!r}, which"
                f" {self.family.pipeline} does not support; supported: {supported}"
            )
        chosen, own = self._options.sampler, self._loaded.checkpoint.sampler_config
        class_name = chosen.class_name if chosen else own["_class_name"]
        makes_two_calls = any(name in class_name for name in _TWO_CALL_SAMPLERS)
        num_calls = 2 * self.steps - 1 if makes_two_calls else self.steps
        caches.check_steps(f"model {self._id!r}, cache", cache, num_calls)

    def _check(self, params: ImageParams, guidance: float | None) -> None:
        self._check_length("prompt", params.prompt)
        if not params.negative_prompt:
            return
        denoiser = getattr(self._loaded.pipeline, self.family.denoiser)
        # Latent consistency models take the guidance as an input of the network.
        is_distilled = getattr(denoiser.config, "time_cond_proj_dim", None) is not None
        has_negative = self.family.has_negative_prompt and self.family.is_guided(guidance)
        if is_distilled or not has_negative:
            raise InvalidRequestError(
                f"negative_prompt is not supported by model {params.model!r}, which runs without"
                ' classifier-free guidance; omit it or send ""',
                param="negative_prompt",
            )
        self._check_length("negative_prompt", params.negative_prompt)

    def _check_length(self, param: str, text: str) -> None:
        family, pipeline = self.family, self._loaded.pipeline
        num_tokens, limit = family.prompt_tokens(pipeline, text, param == "negative_prompt")
        counts = {
            "tokens in quotation marks": family.count_quoted(pipeline, text),
            "tokens": (num_tokens, family.max_chunked_tokens(limit)),
        }
        for unit, (num, limit) in counts.items():
            if num > limit:
                raise InvalidRequestError(
                    f"{param} has {num} {unit}, including start and end tokens; model"
                    f" {self._id!r} reads at most {limit}; shorten it",
                    param=param,
                )

    def _dry_run_or_refuse(self, networks: Mapping[str, TorchNetwork]) -> None:
        try:
            self._dry_run(networks)
        except SettingsError as error:
            if not (sampler := self._options.sampler):
                raise
            where = f"{self._where_sampler}: with {sampler.class_name}"
            raise SettingsError(f"{where}, {error.message}") from error

    def _dry_run(self, networks: Mapping[str, TorchNetwork]) -> None:
        pipeline, checkpoint = self._loaded.pipeline, self._loaded.checkpoint
        size = dry_run.image_size(self.family, pipeline)
        params = ImageParams(self._id, "a", width=size, height=size)
        dry_run.check_tokenizers(pipeline, checkpoint)
        dry_run.run(self._forwards(params, self.steps, self.guidance), networks, checkpoint)

    def _forwards(self, params: ImageParams, steps: int, guidance: float | None) -> Pipeline:
        from daguerre.models.diffusers import coroutine, random_generators
        from daguerre.models.diffusers.prompt_chunks import split_prompts

        pipeline = self._loaded.copy(guidance, self._sampler)
        arguments = self.family.call_arguments(params, steps, guidance)
        if self._options.clip_skip:
            arguments["clip_skip"] = self._options.clip_skip
        if self.family.has_prompt_chunks:
            texts = (params.prompt, params.negative_prompt)
            split_prompts(pipeline, self.family, texts, self._options.clip_skip)
        calls_per_step = self.family.calls_per_step(guidance)
        num_calls, outputs = 0, None
        preview = self._preview(pipeline, params)
        with closing(coroutine.run(lambda: _pixels(pipeline(**arguments)))) as task:
            while True:
                try:
                    with random_generators.unused(self.device, pipeline.scheduler):
                        network, inputs = task.send(outputs)
                except StopIteration as end:
                    pixels: Pixels = end.value
                    return pixels
                step = None
                if network == self.family.denoiser:
                    num_calls += 1
                    if num_calls % calls_per_step == 0:
                        step = (num_calls // calls_per_step, _num_steps(pipeline))
                stage = self._stages.get(network, "encode")
                outputs = yield ForwardRequest(network, inputs, stage, step, preview)

    def _preview(self, pipeline: Any, params: ImageParams) -> Preview | None:
        """The function that draws a preview after a step."""
        from daguerre.models.diffusers.previews.latent_rgb import unscale_latents
        from daguerre.models.diffusers.previews.predicted_x0 import PredictedX0

        latent_to_rgb, vae = self._loaded.latent_to_rgb, pipeline.vae
        if not params.num_previews or latent_to_rgb is None:
            return None
        predicted = PredictedX0(pipeline.scheduler)
        return lambda outputs: latent_to_rgb.pixels(
            unscale_latents(vae, predicted.latents(), params.width, params.height)
        )


def _num_steps(pipeline: Any) -> int:
    """Denoising steps of a running call. The sampler may have one more time, at the end."""
    return getattr(pipeline, "_num_timesteps", None) or len(pipeline.scheduler.timesteps)


def _pixels(output: Any) -> Pixels:
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise InvalidRequestError(
            "the checkpoint's safety checker rejected the image; change the prompt or the seed",
            param="prompt",
        )
    pixels: Pixels = np.asarray(output.images[0].convert("RGB"))
    return pixels
