"""Every row of the contract's two tables of fields, without a server."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from daguerre.errors import InvalidRequestError
from daguerre.params import MAX_SEED, SIZES, ImageParams
from daguerre.protocol.parsing import field_schemas, parse_request, rule

LEAST: dict[str, Any] = {"model": "stable-image-ultra", "prompt": "a red fox", "seed": 1}
DEFAULT = ImageParams(model="stable-image-ultra", prompt="a red fox", seed=1)
LONG = "é😀" * 5000


def params_of(**given: object) -> ImageParams:
    return parse_request({**LEAST, **given}).to_image_params()


def refusal_of(body: dict[str, object]) -> InvalidRequestError:
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
        {"output_format": "jpeg", "jpeg_quality": 0},
    ),
    (
        {"output_format": "jpeg", "output_compression": 100},
        {"output_format": "jpeg", "jpeg_quality": 100},
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
    """A field that means something changes its value, and no other."""
    assert asdict(params_of(**given)) == asdict(replace(DEFAULT, **changed))


@pytest.mark.parametrize("ratio", SIZES)
def test_ratio_and_size(ratio: str) -> None:
    """Ratio, size, and both together lead to the same pixels."""
    width, height = SIZES[ratio]
    expected = replace(DEFAULT, width=width, height=height)
    size = f"{width}x{height}"
    assert params_of(aspect_ratio=ratio) == expected
    assert params_of(size=size) == expected
    assert params_of(size=size, aspect_ratio=ratio) == expected


@pytest.mark.parametrize("given", IGNORED)
def test_ignored(given: dict[str, object]) -> None:
    """A field that the contract ignores changes nothing."""
    assert asdict(params_of(**given)) == asdict(DEFAULT)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_wrong(name: str, value: object) -> None:
    """A wrong value is refused in a message that names the field and its rule, with its param."""
    refusal = refusal_of({**LEAST, name: value})
    assert refusal.param == name
    assert refusal.message.startswith(f"{name} is ")
    assert rule(name) in refusal.message or "needs stream" in refusal.message
    assert len(refusal.message) < 500
    refusal.message.encode("utf-8")


def test_tables_are_complete() -> None:
    """Every field that the server knows is tried both ways here."""
    tried = {name for given, _ in HONOURED for name in given} | {n for g in IGNORED for n in g}
    assert set(field_schemas()) - {"aspect_ratio"} <= tried
    assert set(WRONG) == set(field_schemas())
    changed = {name for _, change in HONOURED for name in change}
    assert {field.name for field in fields(ImageParams)} == changed


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"model", "prompt"}))
def test_null_is_not_given(name: str) -> None:
    """null for an optional field is the same as leaving it out."""
    body = {**LEAST, name: None}
    if name == "seed":
        assert parse_request(body).seed == 0
    else:
        assert parse_request(body).to_image_params() == DEFAULT


@pytest.mark.parametrize("given", [{}, {"seed": 0}, {"seed": 0.0}, {"seed": None}])
def test_random_seed(given: dict[str, object]) -> None:
    """No seed draws one from 1 to the largest, and another one each time."""
    body = {"model": "m", "prompt": "p", **given}
    seeds = {parse_request(body).to_image_params().seed for _ in range(50)}
    assert len(seeds) > 45
    assert all(1 <= seed <= MAX_SEED for seed in seeds)


def test_contradiction_names_both() -> None:
    """Size against ratio names both, and what would fit either."""
    refusal = refusal_of({**LEAST, "size": "1344x768", "aspect_ratio": "1:1"})
    assert refusal.param == "size"
    for part in ("size", "1344x768", "aspect_ratio", "1:1", "1024x1024", "16:9"):
        assert part in refusal.message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("aspect_ration", "aspect_ratio"),
        ("Prompt", "prompt"),
        ("negativ_prompt", "negative_prompt"),
        ("zzz", None),
        ("x" * 5000, None),
        ("", None),
    ],
)
def test_unknown_name(name: str, near: str | None) -> None:
    """An unknown name is refused by name, with the known one that is near."""
    refusal = refusal_of({**LEAST, name: None})
    assert refusal.param == name[:100]
    assert refusal.message.startswith("unknown parameter '") or len(name) > 100
    assert ("did you mean" in refusal.message) == (near is not None)
    if near:
        assert refusal.message == f"unknown parameter '{name}'; did you mean '{near}'?"
    assert len(refusal.message) < 200


def test_all_problems_at_once() -> None:
    """One message tells every problem; param is the first one's."""
    body = {
        "seed": -1,
        "n": 2,
        "size": "1344x768",
        "aspect_ratio": "1:1",
        "promt": "x",
        "partial_images": 2,
        "user": 5,
    }
    refusal = refusal_of(body)
    assert refusal.param == "model"
    for name in ("model is missing", "prompt is missing", "seed is -1", "n is 2", "user is 5"):
        assert name in refusal.message
    for name in ('size "1344x768"', "partial_images is 2", "unknown parameter 'promt'"):
        assert name in refusal.message


def test_many_problems_are_cut() -> None:
    """Thousands of unknown names do not make a message of thousands of sentences."""
    refusal = refusal_of({**LEAST, **{f"name_{i}": i for i in range(5000)}})
    assert "And 4980 more" in refusal.message
    assert len(refusal.message) < 2000


def test_ignoring_does_not_excuse_known_fields() -> None:
    """allow_ignored_params drops unknown names; a wrong value of a known one is refused still."""
    refusal = refusal_of({**LEAST, "allow_ignored_params": True, "zzz": 1, "n": 2})
    assert refusal.param == "n" and "zzz" not in refusal.message


def test_streams_carry_images() -> None:
    """A stream of links is refused by name, and by the words that make the request sound."""
    refusal = refusal_of({**LEAST, "response_format": "url", "stream": True})
    assert refusal.param == "response_format" and "leave one of the two out" in refusal.message
    for sound in ({"response_format": "b64_json", "stream": True}, {"response_format": "url"}):
        assert parse_request({**LEAST, **sound})


def test_too_many_previews_are_one_problem() -> None:
    """Of a stream with too many previews only their number is told."""
    refusal = refusal_of({**LEAST, "stream": True, "partial_images": 4})
    assert refusal.message == "partial_images is 4; it must be an integer from 0 to 3"
