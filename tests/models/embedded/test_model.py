"""The bundled model with its real weights, at few steps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import daguerre
from daguerre.engine.forward import ForwardRequest, Network
from daguerre.engine.pipeline import Pipeline
from daguerre.errors import InternalError
from daguerre.models.embedded import fields, memory
from daguerre.models.embedded import model as model_module
from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel, read_card, weights_sha256
from daguerre.models.embedded.networks import OpenVINONetwork
from daguerre.params import SIZES, ImageParams

PARAMS = ImageParams("m", "a mountain lake at sunset", seed=7)
NUM_STEPS = 4
MAX_WEIGHTS_BYTES = 40_000_000


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return EmbeddedModel("m", num_inference_steps=NUM_STEPS)


@pytest.fixture(scope="module")
def networks(model: EmbeddedModel) -> Iterator[Mapping[str, Network]]:
    yield model.load()


Draw = Callable[[ImageParams], NDArray[np.uint8]]
PendingForward = Callable[[ImageParams], list[ForwardRequest]]
Decide = Callable[[ImageParams], Scene]


@pytest.fixture(scope="module")
def draw(model: EmbeddedModel, networks: Mapping[str, Network]) -> Draw:
    def run(params: ImageParams) -> NDArray[np.uint8]:
        pipeline = model.pipeline(params)
        forward = next(pipeline)
        while True:
            try:
                forward = pipeline.send(networks[forward.network](forward.inputs))
            except StopIteration as stop:
                return np.asarray(stop.value)

    return run


@pytest.fixture(scope="module")
def ask(model: EmbeddedModel, networks: Mapping[str, Network]) -> PendingForward:
    """All forwards of a request up to the decoder's, which is not run."""

    def run(params: ImageParams) -> list[ForwardRequest]:
        pipeline = model.pipeline(params)
        forwards = [next(pipeline)]
        while forwards[-1].stage != "decode":
            last = forwards[-1]
            forwards.append(pipeline.send(networks[last.network](last.inputs)))
        return forwards

    return run


def array(forward: ForwardRequest, name: str) -> NDArray[np.generic]:
    found = forward.inputs[name]
    assert isinstance(found, np.ndarray)
    return found


@pytest.fixture(scope="module")
def decide(ask: PendingForward) -> Decide:
    """The scene that a request leads to."""

    def run(params: ImageParams) -> Scene:
        last = ask(params)[-1]
        ((seed, palette),) = array(last, "layout").tolist()
        tokens = array(last, "tokens")[0].astype(np.int64)
        return fields.decode(tokens, (params.width, params.height), seed, palette)

    return run


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_every_size_has_its_true_pixels(draw: Draw, width: int, height: int) -> None:
    """The image is (height, width, 3) uint8 and has more than one colour."""
    pixels = draw(replace(PARAMS, width=width, height=height))
    assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
    assert pixels.std() > 2


def test_same_parameters_give_the_same_pixels(draw: Draw) -> None:
    """Only the parameters determine the image, whatever was generated before."""
    first = draw(PARAMS)
    draw(replace(PARAMS, seed=8, width=640, height=1536))
    assert np.array_equal(draw(PARAMS), first)


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"prompt": "a city at night"}], ids=["seed", "prompt"]
)
def test_seed_and_prompt_change_the_image(draw: Draw, change: dict[str, object]) -> None:
    """Both the seed and the prompt change the pixels."""
    other = draw(replace(PARAMS, **change))  # type: ignore[arg-type]
    assert np.abs(other.astype(int) - draw(PARAMS)).mean() > 1


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("a road, don’t draw cars", "a road, don't draw cars"),
        ("ｔｗｏ ｒｅｄ ｃａｒｓ", "two red cars"),
        ("a dog with a sign that says “OPEN”", 'a dog with a sign that says "OPEN"'),
    ],
)
def test_typographic_prompts_are_read_as_plain_ones(decide: Decide, typed: str, plain: str) -> None:
    """Curly marks and wide letters, in both prompts, change nothing."""
    asked, negative = replace(PARAMS, prompt=plain), replace(PARAMS, negative_prompt=plain)
    assert decide(replace(asked, prompt=typed)) == decide(asked)
    assert decide(replace(negative, negative_prompt=typed)) == decide(negative)


def test_a_negative_prompt_changes_scenes(decide: Decide) -> None:
    """A negative prompt changes some of the scenes that may contain what it names."""
    asked = [
        ("the sea at sunset", "the sun"),
        ("a forest in winter", "falling snow"),
        ("an apple", "white background"),
    ]
    pairs = [(replace(PARAMS, prompt=p, seed=i), words) for p, words in asked for i in range(1, 5)]
    before = [decide(params) for params, _ in pairs]
    after = [decide(replace(params, negative_prompt=words)) for params, words in pairs]
    assert before != after


@pytest.mark.parametrize(("wanted", "unwanted"), [("cat", "dog"), ("dog", "cat"), ("cat", "dogs")])
def test_negative_prompt_excludes_an_object(decide: Decide, wanted: str, unwanted: str) -> None:
    """ "A cat and a dog" with the negative prompt "dog" gives a cat."""
    prompt = f"a {wanted} and a {unwanted.removesuffix('s')}"
    for seed in range(1, 5):
        scene = decide(replace(PARAMS, prompt=prompt, negative_prompt=unwanted, seed=seed))
        assert [item.name for item in scene.objects] == [wanted]


@pytest.mark.parametrize(
    ("prompt", "absent"),
    [("a tree without apples", "apple"), ("a living room with no sofa", "sofa")],
)
def test_a_negated_object_is_absent(decide: Decide, prompt: str, absent: str) -> None:
    """An object that the prompt only negates is not in the scene."""
    for seed in range(1, 5):
        assert absent not in [
            item.name for item in decide(replace(PARAMS, prompt=prompt, seed=seed)).objects
        ]


@pytest.mark.parametrize("words", ["", "\u200b", "the moon"])
def test_rows_with_and_without_prompts(ask: PendingForward, words: str) -> None:
    """Both prompts are read once; a step has a row with what was read, and one without."""
    forwards = ask(replace(PARAMS, negative_prompt=words))
    (reading,) = (f for f in forwards if f.network == "reader")
    text, negative = array(reading, "text"), array(reading, "negative")
    assert len(text) == 1 and text[0].any() and negative[0].any() == (words == "the moon")
    first = next(f for f in forwards if f.stage == "denoise")
    num_read = [int((row == 0).sum()) for row in array(first, "bias")]
    assert num_read[0] >= (8 if words == "the moon" else 4) and num_read[1] == 1


@pytest.mark.parametrize(("num_words", "slots"), [(24, 25), (25, 65), (64, 65), (70, 65)])
def test_each_word_of_a_prompt_has_a_slot(ask: PendingForward, num_words: int, slots: int) -> None:
    """Up to 64 words are read one by one; only what is read at a step has the same shape."""
    forwards = ask(replace(PARAMS, prompt="cat " * num_words))
    text = next(array(f, "text") for f in forwards if f.network == "reader")
    assert text.shape[1] == slots and (text[0].any(axis=1).sum() == 1 + min(num_words, 64))
    keys = next(array(f, "keys") for f in forwards if f.stage == "denoise")
    assert keys.shape[3] == memory.LENGTH


def test_a_seed_lays_out_the_same_scene_at_every_size(decide: Decide) -> None:
    """A seed has the same layout and palette at every size."""
    layouts = {
        (scene.seed, scene.palette)
        for width, height in SIZES.values()
        for scene in [decide(replace(PARAMS, width=width, height=height))]
    }
    assert len(layouts) == 1


@pytest.mark.parametrize("prompt", ["x" * 10_000, "cat " * 1200, "🌈", "猫", "\u200b", ""])
def test_odd_prompts_are_drawn(draw: Draw, prompt: str) -> None:
    """Very long prompts and prompts without a known token give an image."""
    pixels = draw(replace(PARAMS, prompt=prompt, negative_prompt=prompt))
    assert pixels.shape == (1024, 1024, 3) and pixels.std() > 2


def test_the_end_of_a_long_prompt_reaches_the_denoiser(ask: PendingForward) -> None:
    """The last of 1,200 words changes the denoiser's input at every step."""
    words = "a quiet meadow " * 400
    read = []
    for word in ("snow", "volcano"):
        forwards = ask(replace(PARAMS, prompt=words + word))
        read.append([array(f, "keys") for f in forwards if f.stage == "denoise"])
    one, other = read
    assert len(one) == len(other) == NUM_STEPS
    assert all(not np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))


def test_forwards_of_a_long_prompt_are_bounded(model: EmbeddedModel) -> None:
    """No encode forward has more than eight rows, so it delays other requests little."""
    pipeline = model.pipeline(replace(PARAMS, prompt="cat " * 2500, negative_prompt="dog " * 2500))
    rows, forward = [], next(pipeline)
    while forward.network == "text_encoder":
        rows.append(forward.rows)
        ids = array(forward, "ids")
        forward = pipeline.send((np.zeros((*ids.shape, 384), np.float32),))
    assert max(rows) == 8 and sum(rows) == 40


def test_steps_are_counted_to_the_end(ask: PendingForward) -> None:
    """Each denoising forward has its step, from 1 to the number of steps."""
    steps = [forward.step for forward in ask(PARAMS) if forward.stage == "denoise"]
    assert steps == [(i, NUM_STEPS) for i in range(1, NUM_STEPS + 1)]


def test_a_scene_is_unmasked_step_by_step(ask: PendingForward) -> None:
    """Fields are decided step by step, from those of the lettering at the first forward to all at
    the last; the rows of a forward have the same scene.
    """
    forwards = [forward for forward in ask(PARAMS) if forward.stage != "encode"]
    masked = [int((array(f, "tokens")[0] == fields.MASKED).sum()) for f in forwards]
    lettering = [field for field in fields.FIELDS if field.name.startswith("lettering")]
    assert masked[0] == len(fields.FIELDS) - len(lettering) and masked[-1] == 0
    assert masked == sorted(set(masked), reverse=True)
    for forward in forwards[:-1]:
        assert len(np.unique(array(forward, "tokens"), axis=0)) == 1


def test_previews_are_smaller_pictures_that_decide_nothing(
    model: EmbeddedModel, networks: Mapping[str, Network], draw: Draw
) -> None:
    """Every step has a preview at an eighth of the size; previews do not change the image."""
    params = replace(PARAMS, width=1344, height=768)
    pipeline = model.pipeline(params)
    last = forward = next(pipeline)
    try:
        while True:
            outputs = networks[forward.network](forward.inputs)
            if forward.stage == "denoise":
                assert forward.preview is not None
                small = forward.preview(outputs)
                assert small.shape == (96, 168, 3) and small.std() > 2
            last, forward = forward, pipeline.send(outputs)
    except StopIteration as stop:
        assert last.stage == "denoise" and np.array_equal(stop.value, draw(params))


def test_loading_compiles_what_is_used(
    model: EmbeddedModel, networks: Mapping[str, Network], draw: Draw
) -> None:
    """Loading compiles each network once for all requests, with few words or many."""
    for prompt in (PARAMS.prompt, "cat " * 30):
        draw(replace(PARAMS, prompt=prompt))
    compiled = [network for network in networks.values() if isinstance(network, OpenVINONetwork)]
    assert [len(network._requests) for network in compiled] == [1, 1, 1]


def first_step(pipeline: Pipeline) -> ForwardRequest:
    """The first forward of the denoiser, with texts that mean nothing."""
    forward = next(pipeline)
    while forward.network == "text_encoder":
        forward = pipeline.send((np.zeros((*array(forward, "ids").shape, 384), np.float32),))
    nothing = memory.read_unprompted(WEIGHTS)
    return pipeline.send(tuple(nothing[name] for name in ("keys", "values", "bias")))


def test_scene_has_what_the_prompt_states(model: EmbeddedModel) -> None:
    """Objects, colours, counts and relations are kept even if the network prefers none of them."""
    logits = np.zeros((2, fields.NUM_LOGITS), np.float32)
    kind = fields.AT[0, "kind"]
    logits[:, fields.STARTS[kind] + fields.FIELDS[kind].index["pair"]] = 50
    pipeline = model.pipeline(replace(PARAMS, prompt="two green cars left of a red dog"))
    forward = first_step(pipeline)
    while forward.network == "denoiser":
        forward = pipeline.send((logits,))
    tokens = array(forward, "tokens")[0].astype(np.int64)
    scene = fields.decode(tokens, (PARAMS.width, PARAMS.height), 1, 1)
    first, second = scene.objects
    assert (first.name, first.colour, first.count) == ("car", "green", 2)
    assert (second.name, second.colour, scene.relation) == ("dog", "red", "left")


@pytest.mark.parametrize(("prompt", "number"), [("two people", 2), ("a photo of two ties", 2)])
def test_a_number_decides_the_kind_of_the_scene(decide: Decide, prompt: str, number: int) -> None:
    """A scene with one copy of its object is not chosen where the prompt has a number."""
    for seed in range(1, 5):
        (item,) = decide(replace(PARAMS, prompt=prompt, seed=seed)).objects
        assert item.count == number


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("mountains at sunset", "landscape"),
        ("a beautiful sunset over the mountains", "landscape"),
        ("seamless pattern of lemons and leaves", "pattern"),
    ],
)
def test_a_plural_leaves_the_kind_of_the_scene_open(decide: Decide, prompt: str, kind: str) -> None:
    """Landscapes and patterns are no objects with a number."""
    for seed in range(1, 5):
        assert decide(replace(PARAMS, prompt=prompt, seed=seed)).kind == kind


@pytest.mark.parametrize(("negative_prompt", "is_known"), [("", True), ("rain", False)])
def test_stated_weather_is_known_before_the_first_step(
    model: EmbeddedModel, negative_prompt: str, is_known: bool
) -> None:
    """The weather of the prompt is given to the first step, except if it is excluded."""
    params = replace(PARAMS, prompt="an elephant in the rain", negative_prompt=negative_prompt)
    field = fields.AT[0, "weather"]
    known = fields.FIELDS[field].index["rain"] if is_known else fields.MASKED[field]
    assert array(first_step(model.pipeline(params)), "tokens")[:, field].tolist() == [known] * 2


def test_rows_of_different_sizes_share_a_signature(model: EmbeddedModel) -> None:
    """Requests of all nine sizes have the same denoiser signature and can be batched."""
    signatures = set()
    for width, height in SIZES.values():
        pipeline = model.pipeline(replace(PARAMS, width=width, height=height))
        forward = first_step(pipeline)
        signatures.add(forward.signature)
    assert len(signatures) == 1


def test_readings_of_short_and_long_prompts_share_no_batch(ask: PendingForward) -> None:
    """The slots of a prompt are in its signature, so each number has certificates of its own."""
    signatures = [
        next(f.signature for f in ask(replace(PARAMS, prompt=prompt)) if f.network == "reader")
        for prompt in ("cat " * 24, "a dog", "cat " * 25, "dog " * 64)
    ]
    assert signatures[0] == signatures[1] != signatures[2] == signatures[3]


def test_logits_of_a_forward_are_those_of_all_fields(
    ask: PendingForward, networks: Mapping[str, Network]
) -> None:
    """The denoiser has one output, (rows, logits of all fields) float32, and no row is empty."""
    forward = next(f for f in ask(PARAMS) if f.stage == "denoise")
    (logits,) = networks["denoiser"](forward.inputs)
    assert isinstance(logits, np.ndarray)
    assert logits.shape == (2, fields.NUM_LOGITS) and logits.dtype == np.float32
    assert np.isfinite(logits).all() and not np.array_equal(logits[0], logits[1])


def test_networks_have_distinct_fingerprints(
    networks: Mapping[str, Network], model: EmbeddedModel
) -> None:
    """Each of the four networks has its own fingerprint, which contains the weights' digest."""
    assert set(networks) == {"text_encoder", "reader", "denoiser", "decoder"}
    prints = {network.fingerprint for network in networks.values()}
    assert len(prints) == 4
    assert all(model.card.weights_sha256 in found for found in prints)


@pytest.mark.parametrize(
    ("num_threads", "shared"), [(1, {}), (3, {}), (4, {"denoiser": 8}), (16, {"denoiser": 8})]
)
def test_no_batches_on_few_cores(num_threads: int, shared: dict[str, int]) -> None:
    """From four cores on, up to eight rows of the denoiser form a batch."""
    assert EmbeddedModel("m", num_threads=num_threads).max_batch_size == shared


def test_steps_are_those_of_the_card_or_of_the_setting() -> None:
    """Without a number of steps, the card's applies."""
    card = EmbeddedModel("m").card
    assert 1 <= card.num_inference_steps <= len(fields.FIELDS)
    assert card.guidance_scale >= 1 and 0 < card.temperature <= 1
    pipeline = EmbeddedModel("m").pipeline(PARAMS)
    forward = first_step(pipeline)
    assert forward.step == (1, card.num_inference_steps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The weights as links; a test changes a file by replacing its link."""
    shutil.copytree(WEIGHTS, tmp_path / "w", copy_function=os.link)
    return tmp_path / "w"


@pytest.mark.parametrize(
    "name",
    ["denoiser.bin", "reader.xml", "text_encoder.bin", "tokenizer.json", "unprompted.npz"],
)
def test_damaged_weights_are_refused(folder: Path, name: str) -> None:
    """One changed byte in any file that affects images stops the load with a message."""
    content = bytearray((folder / name).read_bytes())
    content[1000] ^= 1
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=folder).load()


@pytest.mark.parametrize("name", ["denoiser.bin", "text_encoder.xml", "rules.npz"])
def test_truncated_weights_are_refused(folder: Path, name: str) -> None:
    """A truncated file stops the load with the same message, not with a library's error."""
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=folder).load()


@pytest.mark.parametrize(
    "name", ["denoiser.bin", "reader.xml", "tokenizer.json", "rules.npz", "unprompted.npz"]
)
def test_missing_weights_are_refused(folder: Path, name: str) -> None:
    """A missing file stops the load with a message, not a traceback."""
    (folder / name).unlink()
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=folder).load()


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"name": 1}'])
def test_a_damaged_card_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing or malformed model.json is one clear error, not a parser's traceback."""
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=tmp_path)


@pytest.mark.parametrize("name", ["temperature", "guidance_scale", "weights_sha256"])
def test_a_card_without_a_field_is_refused(tmp_path: Path, name: str) -> None:
    """The message names the missing field."""
    facts = json.loads((WEIGHTS / "model.json").read_text())
    del facts[name]
    (tmp_path / "model.json").write_text(json.dumps(facts))
    with pytest.raises(InternalError, match=name):
        read_card(tmp_path)


def test_the_card_names_the_weights() -> None:
    """model.json has the digest of the files next to it, and all of them fit into the wheel."""
    assert EmbeddedModel("m").card.weights_sha256 == weights_sha256(WEIGHTS)
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < MAX_WEIGHTS_BYTES


def test_the_digest_is_of_all_art() -> None:
    """Every file that pictures are drawn with is in the digest of the weights."""
    files = {file.name for file in model_module.DRAWING.iterdir() if file.is_file()}
    art = {name for name in files if not name.endswith(".py") and "LICENSE" not in name}
    assert art == {*model_module.ART}


def test_a_listed_model_loads_nothing() -> None:
    """Listing the model loads neither the runtime nor the art nor the fields."""
    code = """
import json, sys
from daguerre.models.embedded.model import EmbeddedModel
model = EmbeddedModel("m")
assert model.info.weights_sha256 and model.max_batch_size is not None
print(json.dumps(sorted(sys.modules)))
"""
    source = str(Path(daguerre.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(json.loads(done.stdout))
    heavy = {"openvino", "torch", "thorvg_python", "tokenizers", "PIL", "training"}
    assert loaded & heavy == set()
    package = "daguerre.models.embedded"
    assert {name for name in loaded if name.startswith(f"{package}.")} == {f"{package}.model"}
