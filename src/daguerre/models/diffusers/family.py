"""A family of diffusers pipelines: what the server must know to run one exactly.

Its import loads neither torch nor diffusers. The families themselves are in `families`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from daguerre.models.diffusers.distillation import Distillation
from daguerre.params import ImageParams

# (pipeline, tokenizer, text, is_negative) -> tokens, including those the pipeline adds
TokenCounter: TypeAlias = Callable[[Any, Any, str, bool], int]

CLIP_TOKENS = 77  # the limit of CLIP's tokenizers
NUM_SPECIAL_TOKENS = 2  # of a text for CLIP: its start and its end
# A limit for textual inversions: any other prompt of 10,000 characters has fewer chunks.
MAX_CHUNKS = 1024


@dataclass(frozen=True, slots=True)
class InputLayout:
    """Inputs of a network that are not plain rows on axis 0.

    `broadcast` inputs carry no rows, even if axis 0 is as long as the batch. `value_dependent`
    inputs carry rows whose values select the arithmetic, such as masks that the network counts:
    forwards share a batch only if these values are equal. `ragged` inputs are lists with one tensor
    per row. The network pads each to a multiple of the given length, and forwards share a batch
    only if the padded lengths are equal. `masked` maps inputs with one row of tokens per prompt to
    the names of their masks: an executor that compiles pads them to one of a few lengths.
    `output_axis` is the axis of the outputs that has the rows.
    """

    broadcast: frozenset[str] = frozenset()
    value_dependent: frozenset[str] = frozenset()
    ragged: Mapping[str, int] = field(default_factory=dict)
    masked: Mapping[str, str] = field(default_factory=dict)
    output_axis: int = 0


PLAIN = InputLayout()


def text_encoder_of(tokenizer: str) -> str:
    """Name of the component that reads a tokenizer's tokens."""
    return tokenizer.replace("tokenizer", "text_encoder")


@dataclass(frozen=True, slots=True)
class Family:
    """Facts about one pipeline class, and about the checkpoints that use it.

    `checkpoints` names them for the documentation. `steps` and `guidance` are the defaults of the
    pipeline or of the checkpoints' model card; guidance None means that it cannot be set.
    `prompt_tokenizers` are (name, limit or None for the tokenizer's own); those with the longest
    limit decide, and a checkpoint may lack some, or their text encoders. With `has_prompt_chunks`,
    a longer prompt is split into chunks of that limit. With `has_native_size`, the denoiser's
    `sample_size` is the side of its training images, in latent pixels. `skipped_clip_layers` are
    the last layers of CLIP's text encoders whose output the pipeline does not read; None if its
    call has no `clip_skip`. With `has_loras`, the pipeline can load LoRAs. `call_kwargs` and
    `load_kwargs` keep the pipeline from doing what the API contract excludes, and `steps_kwargs`
    are those of the call for a number of steps. `caches` are the step caches that the denoiser
    supports. `layout` is that of the denoiser, `text_layout` that of the text encoders. `guiders`
    are the pipeline components that take the guidance if its call does not; the first is required.
    `cfg_off_at` is the largest guidance without classifier-free guidance (CFG). `count_quoted`
    returns the number and the limit of the tokens in quotation marks, where another encoder reads
    them. `distilled` holds the fields that differ in the distilled variant, whose index or denoiser
    has the option `distilled_if`.
    """

    pipeline: str
    checkpoints: str
    denoiser_class: str
    prompt_tokenizers: tuple[tuple[str, int | None], ...]
    guidance: float | None
    steps: int = 50
    has_negative_prompt: bool = True
    text_encoders: tuple[str, ...] = ("text_encoder",)
    denoiser: str = "transformer"
    decoder_class: str = "AutoencoderKL"
    optional_text_encoders: frozenset[str] = frozenset()
    has_prompt_chunks: bool = False
    has_native_size: bool = False
    has_loras: bool = True
    skipped_clip_layers: int | None = None
    guidance_name: str = "guidance_scale"
    cfg_off_at: float = 1.0
    cfg_uses_two_calls: bool = False  # instead of one call with twice the rows
    empty_negative_prompt: str = ""  # not empty where the pipeline turns CFG off without one
    guiders: tuple[str, ...] = ()
    guider_class: str = "AdaptiveProjectedMixGuidance"
    layout: InputLayout = PLAIN
    text_layout: InputLayout = PLAIN
    caches: frozenset[str] = frozenset()
    call_kwargs: Mapping[str, Any] = field(default_factory=dict)
    steps_kwargs: Callable[[int], Mapping[str, Any]] = lambda steps: {}
    load_kwargs: Mapping[str, Any] = field(default_factory=dict)
    count_tokens: TokenCounter = lambda _, tokenizer, text, __: len(tokenizer(text).input_ids)
    count_quoted: Callable[[Any, str], tuple[int, int]] = lambda pipeline, text: (0, 0)
    notes: str = ""
    distilled: Mapping[str, Any] = field(default_factory=dict)
    distilled_if: tuple[str, bool] = ("is_distilled", True)

    def distill(self, found: Distillation | None) -> Family:
        """The family with the defaults of a distilled checkpoint."""
        return replace(self, **found.defaults) if found else self

    def kind(self, found: Distillation | None) -> Distillation | None:
        """The kind of a distilled checkpoint; none for a family that is distilled as a whole."""
        return None if self.guidance is None else found

    def is_guided(self, guidance: float | None) -> bool:
        """Whether a step makes a second prediction, which a negative prompt can steer."""
        return guidance is not None and guidance > self.cfg_off_at

    def calls_per_step(self, guidance: float | None) -> int:
        """Calls of the denoiser per denoising step."""
        return 2 if self.cfg_uses_two_calls and self.is_guided(guidance) else 1

    def prompt_kwargs(self, guidance: float | None, negative_prompt: str) -> dict[str, Any]:
        """Arguments of the pipeline's call for the guidance and the negative prompt."""
        kwargs: dict[str, Any] = {}
        if guidance is not None and not self.guiders:
            kwargs[self.guidance_name] = guidance
        if not negative_prompt and self.is_guided(guidance):
            negative_prompt = self.empty_negative_prompt
        return kwargs | ({"negative_prompt": negative_prompt} if negative_prompt else {})

    def call_arguments(
        self, params: ImageParams, steps: int, guidance: float | None
    ) -> dict[str, Any]:
        """Arguments of the pipeline's call for an image."""
        import torch

        return {
            "prompt": params.prompt,
            "width": params.width,
            "height": params.height,
            "num_inference_steps": steps,
            # On the CPU, so a seed gives the same noise on every device.
            "generator": torch.Generator("cpu").manual_seed(params.seed),
            "output_type": "pil",
            **self.call_kwargs,
            **self.steps_kwargs(steps),
            **self.prompt_kwargs(guidance, params.negative_prompt),
        }

    def set_guidance(self, pipeline: Any, guidance: float | None) -> None:
        """Gives the pipeline guiders of its own, because a guider keeps the state of a run."""
        for name in self.guiders:
            if guider := getattr(pipeline, name):
                own = guider.new(guidance_scale=guidance, enabled=self.is_guided(guidance))
                setattr(pipeline, name, own)

    def max_prompt_tokens(self, missing: Collection[str] = ()) -> int | None:
        """Limit of a prompt if the checkpoint lacks the components `missing`; None if there is no
        other than that of the API, in characters."""
        if self.has_prompt_chunks:
            return None
        return max(
            limit or CLIP_TOKENS
            for name, limit in self.prompt_tokenizers
            if not {name, text_encoder_of(name)} & {*missing}
        )

    def max_chunked_tokens(self, limit: int) -> int:
        """Tokens in all chunks of a prompt, for a tokenizer with this limit."""
        num_chunks = MAX_CHUNKS if self.has_prompt_chunks else 1
        return NUM_SPECIAL_TOKENS + num_chunks * (limit - NUM_SPECIAL_TOKENS)

    def prompt_tokens(self, pipeline: Any, text: str, is_negative: bool) -> tuple[int, int]:
        """Number of tokens that the pipeline reads for a prompt, and its limit for one chunk.

        A stock pipeline silently truncates a longer prompt. Words that it puts around the prompt
        count, too.
        """
        found = [
            (tokenizer, limit or int(tokenizer.model_max_length))
            for name, limit in self.prompt_tokenizers
            if (tokenizer := getattr(pipeline, name, None))
            and getattr(pipeline, text_encoder_of(name), None)
        ]
        longest = max(limit for _, limit in found)
        nums = [
            self._num_tokens(pipeline, one, text, is_negative)
            for one, limit in found
            if limit == longest
        ]
        return max(nums), longest

    def _num_tokens(self, pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
        # A textual inversion may have several vectors, and its token is replaced by one for each.
        if convert := getattr(pipeline, "maybe_convert_prompt", None):
            text = convert(text, tokenizer)
        return self.count_tokens(pipeline, tokenizer, text, is_negative)
