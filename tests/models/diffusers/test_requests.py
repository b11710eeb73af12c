"""Requests that a checkpoint refuses, and failures that affect one request alone."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daguerre.errors import InternalError, InvalidRequestError, SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.serving_options import ServingOptions

from .conftest import (
    MODEL,
    REASON,
    Bench,
    PerRequestModel,
    Request,
    failure,
    image_bytes,
    stock_images,
)

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

GOOD = Request("a red fox", seed=1)


def refusal(bench: Bench, request: Request) -> InvalidRequestError:
    error = failure(bench.run([request])[0][-1])
    assert isinstance(error, InvalidRequestError), error
    return error


def test_unsupported_negative_prompt(folder_of: Callable[[str], Path]) -> None:
    """A family without CFG, and one that runs unguided, refuse it; an empty one is accepted."""
    for family, guidance in (("flux", None), ("stable-diffusion", 1.0)):
        bench = Bench(folder_of(family))
        request = replace(GOOD, guidance=guidance, negative_prompt="blue")
        error = refusal(bench, request)
        assert error.param == "negative_prompt" and "negative_prompt" in error.message
        assert MODEL in error.message and "blue" not in error.message
        assert bench.images([replace(request, negative_prompt="")])


@pytest.mark.parametrize(
    ("family", "limit"), [("stable-diffusion-3", 256), ("flux", 512), ("pixart-sigma", 300)]
)
def test_prompt_is_too_long(family: str, limit: int, folder_of: Callable[[str], Path]) -> None:
    """A prompt that the loaded pipeline would truncate is refused with its length and the limit."""
    bench = Bench(folder_of(family))
    error = refusal(bench, replace(GOOD, prompt="cat ship " * limit))
    assert error.param == "prompt" and f"reads at most {limit}" in error.message
    assert "cat" not in error.message
    assert bench.model.info.max_prompt_tokens == limit
    if family != "flux":
        error = refusal(bench, replace(GOOD, negative_prompt="cat ship " * limit))
        assert error.param == "negative_prompt"


def test_textual_inversion_with_several_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline replaces its token by one for each vector, and each counts.

    Only such a prompt can have too many chunks.
    """
    import transformers

    from . import tiny

    plain = tiny.stable_diffusion(tmp_path / "plain")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(plain / "tokenizer")
    encoder = transformers.CLIPTextModel.from_pretrained(plain / "text_encoder")
    tokenizer.add_tokens(["<toy>", "<toy>_1", "<toy>_2"])
    encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    monkeypatch.setattr("daguerre.models.diffusers.family.MAX_CHUNKS", 2)
    bench = Bench(
        tiny.stable_diffusion(tmp_path / "toy", tokenizer=tokenizer, text_encoder=encoder)
    )
    short, long = (replace(GOOD, prompt="<toy> " * number) for number in (25, 50))
    assert bench.images([short]) == stock_images(tmp_path / "toy", bench, [short])
    assert bench.images([long])  # 150 vectors, in two chunks
    for param in ("prompt", "negative_prompt"):
        longer: dict[str, Any] = {param: "<toy> " * 51}
        error = refusal(bench, replace(GOOD, **longer))
        assert error.param == param
        assert f"{param} has 155 tokens" in error.message and "at most 152" in error.message


def test_longest_count_of_equal_limits() -> None:
    """If two tokenizers have the longest limit, the one that counts more tokens decides."""
    family = FAMILIES["StableDiffusionXLPipeline"]

    def tokenizer(num_tokens: int, limit: int) -> Any:
        def count(text: str) -> SimpleNamespace:
            return SimpleNamespace(input_ids=[0] * num_tokens)

        count.model_max_length = limit  # type: ignore[attr-defined]
        return count

    for one, other, expected in (
        ((3, 77), (80, 77), (80, 77)),
        ((80, 77), (3, 77), (80, 77)),
        ((80, 77), (3, 256), (3, 256)),
    ):
        pipeline = SimpleNamespace(
            tokenizer=tokenizer(*one),
            tokenizer_2=tokenizer(*other),
            text_encoder=True,
            text_encoder_2=True,
        )
        assert family.prompt_tokens(pipeline, "a fox", False) == expected


def test_tokenizer_without_its_encoder(tmp_path: Path) -> None:
    """Its limit does not count: the encoders that are there would truncate the prompt."""
    from . import tiny

    bench = Bench(tiny.stable_diffusion_3(tmp_path / "sd3", text_encoder_3=None))
    assert bench.model.info.max_prompt_tokens == 77
    error = refusal(bench, replace(GOOD, prompt="x " * 76))
    assert "prompt has 78 tokens" in error.message and "at most 77" in error.message


def test_refusal_is_immediate(folder_of: Callable[[str], Path]) -> None:
    """An unsupported request is refused before any forward."""
    bench = Bench(folder_of("flux"))
    (events,) = bench.run([replace(GOOD, negative_prompt="blue")])
    assert isinstance(failure(events[-1]), InvalidRequestError)
    assert bench.loop.batcher.num_forwards == 0


def test_failing_request_fails_alone(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that fails halfway is unwound and affects no other request."""
    bench = Bench(folder_of("stable-diffusion"))
    requests = [replace(GOOD, seed=seed, steps=3 + seed) for seed in (1, 2, 3)]
    alone = [bench.images([request])[0] for request in requests]
    step = diffusers.PNDMScheduler.step

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(self.timesteps) == 6 and self.counter == 2:
            raise ZeroDivisionError("in the sampler of the second")
        return step(self, *args, **kwargs)

    monkeypatch.setattr(diffusers.PNDMScheduler, "step", breaking)
    before = bench.loop.ended.by_model()[MODEL]
    events = bench.run(requests)
    assert isinstance(failure(events[1][-1]), InternalError)
    assert [image_bytes(events[i][-1]) for i in (0, 2)] == [alone[0], alone[2]]
    after = bench.loop.ended.by_model()[MODEL]
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
        "succeeded": 2,
        "failed": 1,
        "cancelled": 0,
    }


def test_failing_forward(folder_of: Callable[[str], Path]) -> None:
    """A failing forward fails its request, and the next one succeeds."""
    bench = Bench(folder_of("stable-diffusion"))
    good = bench.images([GOOD])
    unet = bench.networks["unet"]
    calls = []

    class Failing:
        name, fingerprint = unet.name, unet.fingerprint

        def __call__(self, inputs: Any) -> Any:
            calls.append(1)
            if len(calls) == 3:
                raise RuntimeError("out of memory")
            return unet(inputs)

    bench.networks["unet"] = Failing()
    assert isinstance(failure(bench.run([GOOD])[0][-1]), InternalError)
    assert bench.images([GOOD]) == good


def test_cancelled_request_is_unwound(folder_of: Callable[[str], Path]) -> None:
    """A request that is cancelled at any forward does not change later images."""
    bench = Bench(folder_of("flux"))
    good = bench.images([GOOD])
    model = PerRequestModel(bench.model, [GOOD])
    for num_forwards in range(1, 6):
        pipeline = model.pipeline(GOOD.params())
        forward = next(pipeline)
        for _ in range(num_forwards - 1):
            forward = pipeline.send(bench.networks[forward.network](forward.inputs))
        pipeline.close()
    assert bench.images([GOOD]) == good


def test_sampler_with_a_global_generator(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random numbers that do not depend on the seed are an error."""
    bench = Bench(folder_of("stable-diffusion"))
    step = diffusers.PNDMScheduler.step

    def drawing(self: Any, output: Any, *args: Any, **kwargs: Any) -> Any:
        return step(self, output + torch.randn_like(output) * 0.01, *args, **kwargs)

    monkeypatch.setattr(diffusers.PNDMScheduler, "step", drawing)
    error = failure(bench.run([GOOD])[0][-1])
    assert isinstance(error, InternalError) and "PNDMScheduler" in error.message


def edit(file: Path, **changes: object) -> None:
    """Changes keys of a JSON file; None removes one."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: value for k, value in content.items() if value is not None}))


def without_limit(folder: Path) -> Path:
    edit(folder / "tokenizer" / "tokenizer_config.json", model_max_length=None)
    return folder


def with_random_sampler(folder: Path) -> Path:
    diffusers.FlowMatchLCMScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    edit(folder / "model_index.json", scheduler=["diffusers", "FlowMatchLCMScheduler"])
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda tiny, at: tiny.stable_diffusion(at, unet=tiny.unet(cross_attention_dim=64)),
            "makes no image: RuntimeError: .*; check that its components, and the",
        ),
        (
            lambda tiny, at: tiny.stable_diffusion(
                at, unet=tiny.unet(cross_attention_dim=32, in_channels=9)
            ),
            "makes no image: RuntimeError: .*; check that its components, and the",
        ),
        (lambda tiny, at: without_limit(tiny.stable_diffusion(at)), "no model_max_length; set it"),
        (
            lambda tiny, at: with_random_sampler(tiny.flux(at)),
            "the sampler FlowMatchLCMScheduler draws random numbers that do not depend",
        ),
    ],
    ids=["text width", "channels", "tokenizer", "sampler"],
)
def test_checkpoint_that_makes_no_image(
    make: Callable[[Any, Path], Path], words: str, tmp_path: Path
) -> None:
    """What would fail in every request fails at load time, and frees the weights."""
    from . import tiny

    loaded = LoadedCheckpoint(PipelineConfig(make(tiny, tmp_path / "checkpoint"), executor="eager"))
    model = DiffusersModel(MODEL, loaded, ServingOptions())
    with pytest.raises(SettingsError, match=words) as caught:
        model.load()
    assert str(loaded.checkpoint.folder) in caught.value.message
    assert "\n" not in caught.value.message
    assert loaded.pipeline is None


def test_dry_run_leaves_no_trace(folder_of: Callable[[str], Path]) -> None:
    """It evaluates no network and caches no prompt's embedding."""
    loaded = LoadedCheckpoint(PipelineConfig(folder_of("flux"), executor="eager"))
    networks = loaded.load()
    before = torch.get_rng_state()
    assert DiffusersModel(MODEL, loaded, ServingOptions(steps=2)).load() is networks
    assert not loaded.embeddings._cached and torch.equal(torch.get_rng_state(), before)


def test_safety_checker(tmp_path: Path) -> None:
    """An image that the checkpoint's safety checker rejects is refused."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "checked", **tiny.safety_checker(threshold=-2.0))
    error = refusal(Bench(folder), GOOD)
    assert error.param == "prompt" and "safety checker" in error.message
    calm = tiny.stable_diffusion(tmp_path / "calm", **tiny.safety_checker(threshold=2.0))
    assert Bench(calm).images([GOOD])


def test_schnell_takes_no_guidance(tmp_path: Path) -> None:
    """The distilled FLUX is recognised by its network; it has its own steps and no guidance."""
    from . import tiny

    loaded = LoadedCheckpoint(
        PipelineConfig(tiny.flux(tmp_path / "schnell", is_schnell=True), executor="eager")
    )
    model = DiffusersModel(MODEL, loaded, ServingOptions())
    assert (model.steps, model.guidance) == (4, None)
    with pytest.raises(SettingsError, match="guidance is 3.5"):
        DiffusersModel(MODEL, loaded, ServingOptions(guidance=3.5))
    assert Bench(loaded.checkpoint.folder).images([GOOD])


def test_weights_are_named_by_their_content(folder_of: Callable[[str], Path]) -> None:
    """The digest depends on the loaded files."""
    bench = Bench(folder_of("stable-diffusion"))
    other = Bench(folder_of("stable-diffusion-xl"))
    digest = bench.model.info.weights_sha256
    assert len(digest) == 64 and digest != other.model.info.weights_sha256
    assert all(digest in network.fingerprint for network in bench.networks.values())
    assert len({network.fingerprint for network in bench.networks.values()}) == 3


def test_missing_device(folder_of: Callable[[str], Path]) -> None:
    """The error names how many CUDA devices torch finds."""
    num_found = torch.cuda.device_count()
    with pytest.raises(SettingsError, match=f"torch finds {num_found} CUDA devices"):
        Bench(folder_of("stable-diffusion"), device=f"cuda:{num_found}")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """A checkpoint without safetensors is refused before anything is unpickled."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "pickled")
    for file in (folder / "unet").glob("*.safetensors"):
        torch.save({}, file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(SettingsError, match=r"unet has .*\.bin, a pickle"):
        checkpoint.read(folder)


def test_checkpoint_that_cannot_be_loaded(tmp_path: Path) -> None:
    """The error of the library becomes one line that names the checkpoint."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "sd")
    (folder / "tokenizer" / "tokenizer.json").write_text("{")
    loaded = LoadedCheckpoint(PipelineConfig(folder, executor="eager"))
    with pytest.raises(SettingsError) as caught:
        loaded.load()
    assert caught.value.message.startswith(f"the checkpoint in {folder} cannot be loaded: ")
    assert "\n" not in caught.value.message


def test_denoiser_is_quantized_twice(tmp_path: Path) -> None:
    """The key `quantization` is refused for a checkpoint that is stored quantized."""
    from . import tiny

    folder = tiny.flux(tmp_path / "flux")
    config = folder / "transformer" / "config.json"
    stored = json.loads(config.read_text()) | {"quantization_config": {"quant_method": "other"}}
    config.write_text(json.dumps(stored))
    with pytest.raises(SettingsError, match="is already quantized; remove the key"):
        LoadedCheckpoint(PipelineConfig(folder, quantization="int8-weight-only"))


def test_index_of_a_real_save(folder_of: Callable[[str], Path]) -> None:
    """Every network of a checkpoint that diffusers saved is found."""
    for family in ("stable-diffusion", "stable-diffusion-3"):
        read = checkpoint.read(folder_of(family))
        index = json.loads((folder_of(family) / "model_index.json").read_text())
        assert read.family.pipeline == index["_class_name"]
        assert (
            set(read.networks)
            <= set(read.components)
            == {name for name, entry in index.items() if isinstance(entry, list) and entry[0]}
        )


def test_prompts_stay_out_of_the_log(
    folder_of: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The library warns of a prompt that a shorter encoder truncates; the warning is silenced."""
    long = "the very old house on the green sea " * 6
    assert Bench(folder_of("stable-diffusion-3")).images([replace(GOOD, prompt=long)])
    printed = capfd.readouterr()
    assert "green" not in caplog.text + printed.out + printed.err


def test_loading_again_changes_nothing(folder_of: Callable[[str], Path]) -> None:
    """Model IDs that share a checkpoint share its networks."""
    loaded = LoadedCheckpoint(PipelineConfig(folder_of("stable-diffusion"), executor="eager"))
    one, other = (DiffusersModel(name, loaded, ServingOptions()) for name in ("one", "other"))
    networks = one.load()
    torch.set_grad_enabled(True)
    assert other.load() is networks and not torch.is_grad_enabled()
    assert one.info.weights_sha256 == other.info.weights_sha256 != ""


def test_unload_and_load(folder_of: Callable[[str], Path]) -> None:
    """Unloading frees the weights, and the reloaded checkpoint gives the same image."""
    loaded = LoadedCheckpoint(PipelineConfig(folder_of("flux"), executor="eager"))
    one, other = (DiffusersModel(name, loaded, ServingOptions()) for name in ("one", "other"))

    def image() -> bytes:
        networks = one.load()
        pipeline, outputs = one.pipeline(GOOD.params()), None
        while True:
            try:
                forward = pipeline.send(outputs)  # type: ignore[arg-type]
            except StopIteration as end:
                return bytes(end.value.tobytes())
            outputs = networks[forward.network](forward.inputs)

    one.steps = 2
    before = image()
    weights = weakref.ref(next(loaded.pipeline.transformer.parameters()))
    one.unload()
    other.unload()
    assert weights() is None and loaded.pipeline is None
    assert image() == before


def test_load_that_fails_late(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline, which holds all weights, does not stay; the next load succeeds."""
    loaded = LoadedCheckpoint(PipelineConfig(folder_of("flux"), executor="eager"))
    model = DiffusersModel("one", loaded, ServingOptions())

    def fail(*args: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="out of memory"):
        patch.setattr(LoadedCheckpoint, "_patch_networks", fail)
        model.load()
    assert loaded.pipeline is None
    assert model.load()


def test_changed_weights(tmp_path: Path) -> None:
    """A checkpoint whose weights were replaced on disk is not loaded again."""
    from . import tiny

    folder = tiny.flux(tmp_path / "flux")
    loaded = LoadedCheckpoint(PipelineConfig(folder, executor="eager"))
    loaded.load()
    loaded.unload()
    (file,) = (folder / "vae").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(SettingsError, match="have changed since the server started"):
        loaded.load()
