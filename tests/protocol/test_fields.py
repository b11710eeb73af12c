"""Every field of a request: accepted values, ignored values, errors and their messages."""

from __future__ import annotations

import re
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from daguerre.errors import InvalidRequestError
from daguerre.params import MAX_SEED, SIZES, ImageParams
from daguerre.protocol.parsing import describe_constraint, field_schemas, parse_request
from daguerre.protocol.request import ADVICE

LEAST: dict[str, Any] = {"model": "stable-image-ultra", "prompt": "a red fox", "seed": 1}
DEFAULT = ImageParams(model="stable-image-ultra", prompt="a red fox", seed=1)
LONG = "é😀" * 5000


def params_of(**given: object) -> ImageParams:
    return parse_request({**LEAST, **given}).to_image_params()


def error_of(body: dict[str, object]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request(body)
    return caught.value


HONOURED: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"model": "other"}, {"model": "other"}),
    ({"prompt": LONG}, {"prompt": LONG}),
    ({"prompt": " \n x\t"}, {"prompt": " \n x\t"}),
    ({"negative_prompt": "crowded"}, {"negative_prompt": "crowded"}),
    ({"negative_prompt": ""}, {}),
    ({"negative_prompt": LONG}, {"negative_prompt": LONG}),
    ({"size": "auto"}, {}),
    ({"size": "auto", "aspect_ratio": "9:16"}, {"width": 768, "height": 1344}),
    ({"output_format": "png"}, {}),
    ({"output_format": "jpeg"}, {"output_format": "jpeg"}),
    ({"seed": 123}, {"seed": 123}),
    ({"seed": 123.0}, {"seed": 123}),
    ({"seed": 4294967295}, {"seed": 4294967295}),
    ({"seed": 4294967295.0}, {"seed": 4294967295}),
    (
        {"output_format": "jpeg", "output_compression": 0},
        {"output_format": "jpeg", "compression_quality": 0},
    ),
    (
        {"output_format": "jpeg", "output_compression": 100},
        {"output_format": "jpeg", "compression_quality": 100},
    ),
    ({"stream": True, "partial_images": 3}, {"num_previews": 3}),
    ({"stream": True, "partial_images": 1.0}, {"num_previews": 1}),
]
IGNORED: list[dict[str, object]] = [
    {"n": 1},
    {"n": 1.0},
    {"response_format": "b64_json"},
    {"response_format": "base64"},
    {"response_format": "url"},
    {"quality": "auto"},
    {"quality": "standard"},
    {"quality": "hd"},
    {"quality": "low"},
    {"quality": "medium"},
    {"quality": "high"},
    {"quality": "xhigh"},
    {"quality": "max"},
    {"style": "vivid"},
    {"style": "natural"},
    {"background": "auto"},
    {"background": "opaque"},
    {"moderation": "auto"},
    {"moderation": "low"},
    {"user": "someone"},
    {"user": ""},
    {"safety_identifier": "someone"},
    {"output_compression": 50},
    {"stream": False},
    {"stream": True},
    {"stream": True, "partial_images": 0},
    {"partial_images": 0},
    {"allow_ignored_params": False},
    {"allow_ignored_params": True},
    {"allow_ignored_params": True, "steps": 30, "cfg_scale": None},
]
WRONG: dict[str, list[object]] = {
    "model": ["", None, 1, True, ["stable-image-ultra"], {}],
    "prompt": ["", " \t\r\n\u3000", None, 1, ["a"], "a\0b", LONG + "x", "\ud800"],
    "negative_prompt": [1, False, [], "\0", LONG + "x"],
    "aspect_ratio": ["", "16:10", "auto", "1x1", 1, [], {}],
    "size": ["", "512x512", "1024X1024", "1024", 1024, ["1024x1024"], True],
    "output_format": ["", "webp", "PNG", "jpg", 1, []],
    "seed": ["123", 1.5, True, False, -1, MAX_SEED + 1, 1e308, -0.5, [], 10**400],
    "allow_ignored_params": ["true", 1, 0, "yes", []],
    "n": [0, 2, -1, 1.5, "1", True],
    "response_format": ["link", "", "B64_JSON", 1],
    "quality": ["best", "", 1, True],
    "style": ["realistic", "", 1],
    "background": ["transparent", "white", 1],
    "moderation": ["high", "", 1],
    "user": [1, True, [], {}],
    "safety_identifier": [1, False, []],
    "output_compression": [-1, 101, "90", 1.5, True],
    "stream": [0, 1, "true", "false", []],
    "partial_images": [-1, 1, 3, 4, "0", True, 0.5],
}


@pytest.mark.parametrize(("given", "changed"), HONOURED)
def test_honoured(given: dict[str, object], changed: dict[str, Any]) -> None:
    """A honoured field changes the parameters that belong to it and no others."""
    assert asdict(params_of(**given)) == asdict(replace(DEFAULT, **changed))


@pytest.mark.parametrize("ratio", SIZES)
def test_ratio_and_size(ratio: str) -> None:
    """An aspect ratio, its size, and both together give the same width and height."""
    width, height = SIZES[ratio]
    expected = replace(DEFAULT, width=width, height=height)
    size = f"{width}x{height}"
    assert params_of(aspect_ratio=ratio) == expected
    assert params_of(size=size) == expected
    assert params_of(size=size, aspect_ratio=ratio) == expected


@pytest.mark.parametrize("given", IGNORED)
def test_ignored(given: dict[str, object]) -> None:
    """An ignored field does not change the parameters."""
    assert asdict(params_of(**given)) == asdict(DEFAULT)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_wrong(name: str, value: object) -> None:
    """The error of an invalid value names the field and its constraint."""
    error = error_of({**LEAST, name: value})
    assert error.param == name
    assert error.message.startswith(f"{name} is ")
    assert (
        describe_constraint(field_schemas()[name]) in error.message
        or "requires stream" in error.message
    )
    assert len(error.message) < 500
    error.message.encode("utf-8")


def test_tables_are_complete() -> None:
    """The tables above cover every field of a request and of `ImageParams`."""
    tried = {name for given, _ in HONOURED for name in given} | {n for g in IGNORED for n in g}
    assert set(field_schemas()) - {"aspect_ratio"} <= tried
    assert set(WRONG) == set(field_schemas())
    changed = {name for _, change in HONOURED for name in change}
    assert {field.name for field in fields(ImageParams)} == changed


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"model", "prompt"}))
def test_null_is_not_given(name: str) -> None:
    """null means that an optional field is not given."""
    body = {**LEAST, name: None}
    if name == "seed":
        assert parse_request(body).seed == 0
    else:
        assert parse_request(body).to_image_params() == DEFAULT


@pytest.mark.parametrize("given", [{}, {"seed": 0}, {"seed": 0.0}, {"seed": None}])
def test_random_seed(given: dict[str, object]) -> None:
    """Without a seed each request draws another one, from 1 to `MAX_SEED`."""
    body = {"model": "m", "prompt": "p", **given}
    seeds = {parse_request(body).to_image_params().seed for _ in range(50)}
    assert len(seeds) > 45
    assert all(1 <= seed <= MAX_SEED for seed in seeds)


def test_contradiction_names_both() -> None:
    """A size that contradicts the ratio is reported with both and a match for each."""
    error = error_of({**LEAST, "size": "1344x768", "aspect_ratio": "1:1"})
    assert error.param == "size"
    for part in ("size", "1344x768", "aspect_ratio", "1:1", "1024x1024", "16:9"):
        assert part in error.message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("aspect_ration", "aspect_ratio"),
        ("Prompt", "prompt"),
        ("negativ_prompt", "negative_prompt"),
        ("zzz", None),
        ("x" * 80, None),
        ("x" * 5000, None),
        ("", None),
    ],
)
def test_unknown_name(name: str, near: str | None) -> None:
    """The error of an unknown parameter suggests a similar known name."""
    error = error_of({**LEAST, name: None})
    assert error.param == name[:100]
    assert error.message.startswith("unknown parameter '") or "characters)" in error.message
    assert ("did you mean" in error.message) == (near is not None)
    if near:
        assert error.message == f"unknown parameter '{name}'; did you mean '{near}'?"
    assert len(error.message) < 200


IGNORE = ". To ignore unknown parameters, send allow_ignored_params: true"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("width", "use size or aspect_ratio"),
        ("imageSize", "use size or aspect_ratio"),
        ("steps", "each model has its own"),
        ("num-inference-steps", "each model has its own"),
        ("cfgScale", "each model has its own"),
        ("guidance_scale", "each model has its own"),
        ("num_images", "a response has one image"),
        ("image", "images are made from text only"),
        ("format", "use output_format"),
    ],
)
def test_parameter_of_other_servers(name: str, advice: str) -> None:
    """A parameter that other servers have is an error with advice."""
    message = error_of({**LEAST, name: 1}).message
    assert message == f"unknown parameter '{name}'; {advice}{IGNORE}"


def test_how_to_ignore_is_said_once() -> None:
    """The way to ignore parameters follows all of them, unless each is a typo."""
    message = error_of({**LEAST, "width": 1, "zzz": 1, "promt": "x"}).message
    assert message.count("allow_ignored_params") == 1 and message.endswith(IGNORE)
    assert "allow_ignored_params" not in error_of({**LEAST, "promt": "x", "sed": 1}).message


def test_advice_is_for_unknown_parameters() -> None:
    """No field of a request has advice for its absence, and all advice names fields."""
    assert not set(ADVICE) & set(field_schemas())
    for advice in ADVICE.values():
        named = re.findall(r"[a-z]+(?:_[a-z]+)+", advice)
        assert set(named) <= set(field_schemas())


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("output_format", "jpg", "jpeg"),
        ("output_format", "JPEG", "jpeg"),
        ("output_format", "image/jpg", "jpeg"),
        ("output_format", "image/png", "png"),
        ("output_format", ".png", "png"),
        ("output_format", "webp", None),
        ("size", "1024×1024", "1024x1024"),
        ("size", "1344*768", "1344x768"),
        ("size", "768 X 1344", "768x1344"),
        ("size", "512x512", "1024x1024"),
        ("size", "1536x1024", "1216x832"),
        ("size", "1024x1792", "768x1344"),
        ("size", "512", "1024x1024"),
        ("size", "0x512", None),
        ("size", "1x2x3", None),
        ("size", "large", None),
        ("size", "9" * 50, None),
        ("size", 1024, None),
        ("aspect_ratio", "16x9", "16:9"),
        ("aspect_ratio", "1/1", "1:1"),
        ("aspect_ratio", "square", None),
        ("quality", "High", "high"),
    ],
)
def test_unknown_value(name: str, value: object, near: str | None) -> None:
    """The error of a value that is not in a list suggests the one that is meant."""
    message = error_of({**LEAST, name: value}).message
    assert message.endswith(f"; did you mean '{near}'?") == (near is not None)
    assert ("did you mean" in message) == (near is not None)


def test_invalid_seed() -> None:
    """The error of a seed says how to get a random one, for which others use -1."""
    message = error_of({**LEAST, "seed": -1}).message
    assert message == (
        "seed is -1; it must be an integer from 0 to 4294967295 (0, or no seed, draws a random one)"
    )


def test_all_errors_at_once() -> None:
    """One message reports every fault; `param` is that of the first."""
    body = {
        "seed": -1,
        "n": 2,
        "size": "1344x768",
        "aspect_ratio": "1:1",
        "promt": "x",
        "partial_images": 2,
        "user": 5,
    }
    error = error_of(body)
    assert error.param == "model"
    for name in ("model is missing", "prompt is missing", "seed is -1", "n is 2", "user is 5"):
        assert name in error.message
    for name in ('size "1344x768"', "partial_images is 2", "unknown parameter 'promt'"):
        assert name in error.message


def test_many_errors_are_truncated() -> None:
    """The message reports 20 of thousands of unknown parameters, and the number of the others."""
    error = error_of({**LEAST, **{f"name_{i}": i for i in range(5000)}})
    assert "And 4980 more" in error.message
    assert len(error.message) < 2000


def test_ignoring_does_not_excuse_known_fields() -> None:
    """`allow_ignored_params` ignores unknown parameters, but not invalid values of known ones."""
    error = error_of({**LEAST, "allow_ignored_params": True, "zzz": 1, "n": 2})
    assert error.param == "n" and "zzz" not in error.message


def test_streams_carry_images() -> None:
    """A stream with links is an error that says how to fix the request."""
    error = error_of({**LEAST, "response_format": "url", "stream": True})
    assert error.param == "response_format" and "omit one of the two" in error.message
    for valid in ({"response_format": "b64_json", "stream": True}, {"response_format": "url"}):
        assert parse_request({**LEAST, **valid})


def test_too_many_previews() -> None:
    """Too many previews of a stream are reported once."""
    error = error_of({**LEAST, "stream": True, "partial_images": 4})
    assert error.message == "partial_images is 4; it must be an integer from 0 to 3"


class Example(BaseModel):
    """Constraints that no field of a request has yet."""

    scale: float = Field(ge=0, le=30)
    low: int = Field(ge=1)
    high: float | None = Field(None, le=0.5)
    free: float = 1.0
    one: int = Field(1, ge=1, le=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scale", "a number from 0 to 30"),
        ("low", "an integer of at least 1"),
        ("high", "a number of at most 0.5"),
        ("free", "a number"),
        ("one", "1"),
    ],
)
def test_describe_numeric_constraint(name: str, expected: str) -> None:
    """The description of a numeric field names its type and bounds."""
    assert describe_constraint(field_schemas(Example)[name]) == expected
