"""The request schema: every field of an image generation request, with constraint and description.

Validation, error messages, the OpenAPI document, the command-line options and the reference page
are derived from `ImageGenerationRequest`. `to_image_params` resolves the values; later stages do
not validate again.
"""

from __future__ import annotations

import math
import secrets
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import core_schema

from daguerre.imagefile.encoding import FORMATS
from daguerre.params import (
    DEFAULT_ASPECT_RATIO,
    DEFAULT_COMPRESSION_QUALITY,
    MAX_PREVIEWS,
    MAX_PROMPT_CODE_POINTS,
    MAX_SEED,
    SIZES,
    ImageParams,
)

RATIO_OF_SIZE = {f"{width}x{height}": ratio for ratio, (width, height) in SIZES.items()}
SIZE_OF_RATIO = {ratio: size for size, ratio in RATIO_OF_SIZE.items()}
AUTO = "auto"
URL_FORMAT = "url"
_LOSSY_FORMATS = [name for name, kind in FORMATS.items() if kind.is_lossy]
# Fields without a command-line option: they shape the response or are ignored.
HTTP_ONLY = frozenset(
    ("allow_ignored_params", "n", "response_format", "quality", "style", "background")
    + ("moderation", "user", "safety_identifier", "stream", "partial_images")
)
NO_NUL = r"^[^\x00]*$"
NO_NUL_NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"
PATTERN_DESCRIPTIONS = {
    NO_NUL: ", without NUL and lone surrogates",
    NO_NUL_NOT_BLANK: ", not only white space, without NUL and lone surrogates",
}
# Added to the error message of a field.
REASONS = {
    "n": "a response contains one image; send one request for each image",
    "background": "images are opaque",
    "seed": "0, or no seed, draws a random one",
}
_SIZE = "use size or aspect_ratio"
_FIXED = "each model has its own"
_ONE = "a response has one image"
_TEXT = "images are made from text only"
# Advice for parameters of other servers, in the error message of an unknown parameter.
ADVICE = {
    **dict.fromkeys(("width", "height", "image_size", "resolution", "dimensions"), _SIZE),
    **dict.fromkeys(("steps", "num_inference_steps", "num_steps", "inference_steps"), _FIXED),
    **dict.fromkeys(("cfg_scale", "guidance_scale", "true_cfg_scale", "guidance", "cfg"), _FIXED),
    **dict.fromkeys(("sampler", "sampler_name", "scheduler", "clip_skip", "strength"), _FIXED),
    **dict.fromkeys(("num_images", "num_images_per_prompt", "num_outputs", "batch_size"), _ONE),
    **dict.fromkeys(("image", "images", "init_image", "mask", "mask_image"), _TEXT),
    **dict.fromkeys(("format", "image_format"), "use output_format"),
    **dict.fromkeys(("ratio", "ar"), "use aspect_ratio"),
    "random_seed": "use seed",
}


def _one_of(*values: str) -> GetPydanticSchema:
    """Annotation: exactly one of these strings."""
    return GetPydanticSchema(lambda source, handler: core_schema.literal_schema([*values]))


def _or_extra_size(
    value: object, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> object:
    """Accepts the extra sizes of the request's model, which are the context, too."""
    return value if value in (info.context or ()) else validate(value)


def pixels_of(size: str) -> tuple[int, int]:
    """Width and height of a size such as "1344x768"."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def nearest_ratio(size: str) -> str:
    """The aspect ratio whose shape is nearest; its own for one of `SIZES`."""

    def distance(ratio: str) -> float:
        (width, height), (ratio_width, ratio_height) = pixels_of(size), SIZES[ratio]
        return abs(math.log(width / height * ratio_height / ratio_width))

    return min(SIZES, key=distance)


def _integral(value: object) -> object:
    """Converts 123.0 to 123, because JSON has a single number type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_integral)]
# The limits precede the validator and the "or null"; otherwise the JSON schema would lack them.
Percent = Annotated[int, Field(ge=0, le=100), BeforeValidator(_integral)]
NumPreviews = Annotated[int, Field(ge=0, le=MAX_PREVIEWS), BeforeValidator(_integral)]


class ImageGenerationRequest(BaseModel):
    """Body of an image generation request. `null` means not given."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(
        min_length=1,
        description="ID of the model.",
        examples=["stable-image-ultra"],
    )
    prompt: str = Field(
        min_length=1,
        max_length=MAX_PROMPT_CODE_POINTS,
        pattern=NO_NUL_NOT_BLANK,
        description="What the image shows. The length counts Unicode code points.",
        examples=["A surreal landscape with glowing mushrooms under a night sky."],
    )
    negative_prompt: str = Field(
        "",
        max_length=MAX_PROMPT_CODE_POINTS,
        pattern=NO_NUL,
        description="What the image must not show.",
        examples=["crowded"],
    )
    aspect_ratio: Annotated[str | None, _one_of(*SIZES)] = Field(
        None,
        description="Ratio of width to height. Default: the ratio of `size`, or"
        f" {DEFAULT_ASPECT_RATIO}. Must match `size` if both are given.",
        examples=["16:9"],
    )
    size: Annotated[str | None, _one_of(*RATIO_OF_SIZE, AUTO), WrapValidator(_or_extra_size)] = (
        Field(
            None,
            description="Width and height in pixels. Default: the size of `aspect_ratio`, or"
            f" {SIZE_OF_RATIO[DEFAULT_ASPECT_RATIO]}. `{AUTO}` means not given. A model may"
            " have other sizes, too: `extra_sizes` in `/v1/models`.",
            examples=["1344x768"],
        )
    )
    output_format: Annotated[str, _one_of(*FORMATS)] = Field(
        "png", description="Format of the image.", examples=["jpeg"]
    )
    seed: Integer = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="The same parameters with the same seed produce the same bytes. 0 draws a"
        " random seed, which is reported (header `x-seed`).",
        examples=[123],
    )
    allow_ignored_params: bool = Field(
        False, description="Ignore unknown parameters instead of rejecting them."
    )
    n: Integer = Field(1, ge=1, le=1, description="Number of images.")
    response_format: Annotated[str | None, _one_of("b64_json", "base64", URL_FORMAT)] = Field(
        None,
        description="Whether the response contains the image (`b64_json` or its synonym `base64`)"
        " or its signed URL (`url`). Default: the server's setting, normally `b64_json`. A stream"
        " always contains its images.",
    )
    quality: Annotated[
        str | None, _one_of("auto", "standard", "hd", "low", "medium", "high", "xhigh", "max")
    ] = Field(None, description="Accepted and ignored.")
    style: Annotated[str | None, _one_of("vivid", "natural")] = Field(
        None, description="Accepted and ignored."
    )
    background: Annotated[str | None, _one_of("auto", "opaque")] = Field(
        None, description="Accepted and ignored: images are opaque."
    )
    moderation: Annotated[str | None, _one_of("auto", "low")] = Field(
        None, description="Accepted and ignored."
    )
    user: str | None = Field(None, description="Accepted and ignored.")
    safety_identifier: str | None = Field(None, description="Accepted and ignored.")
    output_compression: Percent | None = Field(
        None,
        description=f"Quality of {' and '.join(_LOSSY_FORMATS)} images, by default"
        f" {DEFAULT_COMPRESSION_QUALITY}. Other formats ignore it.",
    )
    stream: bool = Field(
        False,
        description="Respond with server-sent events: previews, then the image.",
    )
    partial_images: NumPreviews | None = Field(
        None,
        description="Maximum number of previews in the stream; more than 0 requires `stream`."
        " Previews do not affect the image.",
    )

    def to_image_params(self) -> ImageParams:
        """The resolved values; draws a seed if none is given."""
        size = None if self.size == AUTO else self.size
        ratio = self.aspect_ratio or DEFAULT_ASPECT_RATIO
        width, height = pixels_of(size) if size else SIZES[ratio]
        quality = self.output_compression if self.output_format in _LOSSY_FORMATS else None
        return ImageParams(
            model=self.model,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=width,
            height=height,
            seed=self.seed or secrets.randbelow(MAX_SEED) + 1,
            output_format=self.output_format,
            compression_quality=DEFAULT_COMPRESSION_QUALITY if quality is None else quality,
            num_previews=self.partial_images or 0,
        )
