"""The wire format of an image generation: every field, its rule and its words, in one place.

The checks, the messages that explain a refusal and the OpenAPI document are all made from
`ImageGenerationRequest`. After `to_image_params()` nothing checks a user's value again. Knows
nothing of HTTP; `parsing` turns a failed check into its message.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from daguerre.params import (
    DEFAULT_ASPECT_RATIO,
    DEFAULT_JPEG_QUALITY,
    MAX_PREVIEWS,
    MAX_PROMPT_CODE_POINTS,
    MAX_SEED,
    OUTPUT_FORMATS,
    SIZES,
    ImageParams,
    OutputFormat,
)

RATIO_OF_SIZE = {f"{width}x{height}": ratio for ratio, (width, height) in SIZES.items()}
SIZE_OF_RATIO = {ratio: size for size, ratio in RATIO_OF_SIZE.items()}
AUTO = "auto"
LINK = "url"
NO_NUL = r"^[^\x00]*$"
NO_NUL_NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"
PATTERN_IN_WORDS = {
    NO_NUL: ", without the NUL character",
    NO_NUL_NOT_BLANK: ", not only white space, without the NUL character",
}
# What the reader of a refusal may want to know beyond the rule.
REASONS = {
    "n": "an answer has exactly one image, so send one request for each image",
    "background": "images are opaque",
}


@dataclass(frozen=True, slots=True)
class StrictLiteral:
    """Annotation: exactly these values, nothing converted; 0 is not `False`."""

    values: tuple[object, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        literal = core_schema.literal_schema(list(self.values))
        return core_schema.no_info_before_validator_function(self._same_type, literal)

    def _same_type(self, value: object) -> object:
        if type(value) not in {type(allowed) for allowed in self.values}:
            raise ValueError("another type")
        return value


def _whole(value: object) -> object:
    """JSON has one kind of number: 123.0 is the integer 123."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
# The limits stand inside the "or null", and before the validator, to come out in the JSON schema.
Percent = Annotated[int, Field(ge=0, le=100), BeforeValidator(_whole)]
NumPreviews = Annotated[int, Field(ge=0, le=MAX_PREVIEWS), BeforeValidator(_whole)]


class ImageGenerationRequest(BaseModel):
    """What a client sends. `null` is the same as not given."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(
        min_length=1,
        description="The model id that the resource was created for.",
        examples=["stable-image-ultra"],
    )
    prompt: str = Field(
        min_length=1,
        max_length=MAX_PROMPT_CODE_POINTS,
        pattern=NO_NUL_NOT_BLANK,
        description="What the image shows. Its length is counted in Unicode code points.",
        examples=["A surreal landscape with glowing mushrooms under a night sky."],
    )
    negative_prompt: str = Field(
        "",
        max_length=MAX_PROMPT_CODE_POINTS,
        pattern=NO_NUL,
        description="What the image must not show.",
        examples=["crowded"],
    )
    aspect_ratio: Annotated[str | None, StrictLiteral(tuple(SIZES))] = Field(
        None,
        description=f"Width to height. Default {DEFAULT_ASPECT_RATIO}, or the one that `size` has."
        " Must agree with `size` where both are given.",
        examples=["16:9"],
    )
    size: Annotated[str | None, StrictLiteral((*RATIO_OF_SIZE, AUTO))] = Field(
        None,
        description=f"Width and height in pixels. Default {SIZE_OF_RATIO[DEFAULT_ASPECT_RATIO]}, or"
        f" the one that `aspect_ratio` has. `{AUTO}` is the same as not given.",
        examples=["1344x768"],
    )
    output_format: Annotated[OutputFormat, StrictLiteral(OUTPUT_FORMATS)] = Field(
        "png", description="Format of the image file.", examples=["jpeg"]
    )
    seed: Integer = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="The same parameters with the same seed give the same bytes. 0 draws a random"
        " seed; the header `x-seed` says which.",
        examples=[123],
    )
    allow_ignored_params: bool = Field(
        False, description="Drops parameters that this list does not have instead of refusing them."
    )
    n: Integer = Field(1, ge=1, le=1, description="Number of images.")
    response_format: Annotated[str | None, StrictLiteral(("b64_json", "base64", LINK))] = Field(
        None,
        description="How the answer carries the image: in itself (`b64_json`, or `base64`, which is"
        " the same) or as a link that expires (`url`). Default: as the server is set, which is"
        " `b64_json` unless its operator says otherwise. A stream carries its images.",
    )
    quality: Annotated[
        str | None,
        StrictLiteral(("auto", "standard", "hd", "low", "medium", "high", "xhigh", "max")),
    ] = Field(None, description="Accepted and ignored.")
    style: Annotated[str | None, StrictLiteral(("vivid", "natural"))] = Field(
        None, description="Accepted and ignored."
    )
    background: Annotated[str | None, StrictLiteral(("auto", "opaque"))] = Field(
        None, description="Accepted and ignored: images are opaque."
    )
    moderation: Annotated[str | None, StrictLiteral(("auto", "low"))] = Field(
        None, description="Accepted and ignored."
    )
    user: str | None = Field(None, description="Accepted and ignored.")
    safety_identifier: str | None = Field(None, description="Accepted and ignored.")
    output_compression: Percent | None = Field(
        None,
        description=f"JPEG quality, {DEFAULT_JPEG_QUALITY} where it is not given; ignored for png.",
    )
    stream: bool = Field(
        False,
        description="Whether to answer with server-sent events: previews, then the image.",
    )
    partial_images: NumPreviews | None = Field(
        None,
        description="Most previews that the stream shows before the image; more than 0 only with"
        " `stream`. No preview changes the image.",
    )

    def to_image_params(self) -> ImageParams:
        """The resolved values; draws the seed where none is given."""
        width, height = SIZES[self._ratio()]
        quality = self.output_compression if self.output_format == "jpeg" else None
        return ImageParams(
            model=self.model,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=width,
            height=height,
            seed=self.seed or secrets.randbelow(MAX_SEED) + 1,
            output_format=self.output_format,
            jpeg_quality=DEFAULT_JPEG_QUALITY if quality is None else quality,
            num_previews=self.partial_images or 0,
        )

    def _ratio(self) -> str:
        if self.size is not None and self.size != AUTO:
            return RATIO_OF_SIZE[self.size]
        return self.aspect_ratio or DEFAULT_ASPECT_RATIO


def images_response(created: int, b64_json: bytes) -> bytes:
    """The body of a 200. Base64 needs no escaping, so megabytes need no JSON encoder."""
    return _images_response(created, b"b64_json", b64_json)


def link_response(created: int, url: str) -> bytes:
    """The same with a link in place of the image."""
    return _images_response(created, b"url", json.dumps(url)[1:-1].encode("ascii"))


def _images_response(created: int, name: bytes, value: bytes) -> bytes:
    head = b'{"created":%d,"data":[{"%s":"' % (created, name)
    return b"".join((head, value, b'","revised_prompt":""}]}'))
