"""What a checkpoint refuses, by name, and how a request ends that goes wrong: alone."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import InternalError, InvalidRequestError, SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.model import DiffusersModel, ServingOptions

from .conftest import MODEL, REASON, Asking, Bench, Request, failure, picture

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

GOOD = Request("a red fox", seed=1)


def refusal(bench: Bench, request: Request) -> InvalidRequestError:
    error = failure(bench.run([request])[0][-1])
    assert isinstance(error, InvalidRequestError), error
    return error


def test_negative_prompt_where_there_is_none(folder_of: Callable[[str], Path]) -> None:
    """A family without one, and one that runs unguided, refuse it by name; an empty one is fine."""
    for family, guidance in (("flux", None), ("stable-diffusion", 1.0)):
        bench = Bench(folder_of(family))
        request = replace(GOOD, guidance=guidance, negative_prompt="blue")
        error = refusal(bench, request)
        assert error.param == "negative_prompt" and "negative_prompt" in error.message
        assert MODEL in error.message and "blue" not in error.message
        assert bench.pictures([replace(request, negative_prompt="")])


@pytest.mark.parametrize(
    ("family", "limit"), [("stable-diffusion", 77), ("flux", 512), ("pixart-sigma", 300)]
)
def test_prompt_that_would_be_cut_off(
    family: str, limit: int, folder_of: Callable[[str], Path]
) -> None:
    """A prompt that the stock pipeline would cut is refused with its length and the limit."""
    bench = Bench(folder_of(family))
    error = refusal(bench, replace(GOOD, prompt="cat ship " * limit))
    assert error.param == "prompt" and f"reads at most {limit}" in error.message
    assert "cat" not in error.message
    if family != "flux":
        error = refusal(bench, replace(GOOD, negative_prompt="cat ship " * limit))
        assert error.param == "negative_prompt"


def test_refusal_does_not_wait(folder_of: Callable[[str], Path]) -> None:
    """A request that cannot be followed is refused when it arrives, before any forward is run."""
    bench = Bench(folder_of("flux"))
    (events,) = bench.arrive([replace(GOOD, negative_prompt="blue")])
    assert isinstance(failure(events[-1]), InvalidRequestError)
    assert not bench.loop.has_jobs and bench.loop.batcher.num_forwards == 0


def test_failing_request_fails_alone(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that breaks in the middle takes nobody with it, and its stack is unwound."""
    bench = Bench(folder_of("stable-diffusion"))
    requests = [replace(GOOD, seed=seed, steps=3 + seed) for seed in (1, 2, 3)]
    alone = [bench.pictures([request])[0] for request in requests]
    step = diffusers.PNDMScheduler.step

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(self.timesteps) == 6 and self.counter == 2:
            raise ZeroDivisionError("in the sampler of the second")
        return step(self, *args, **kwargs)

    monkeypatch.setattr(diffusers.PNDMScheduler, "step", breaking)
    num_succeeded = bench.loop.num_succeeded
    events = bench.run(requests)
    assert isinstance(failure(events[1][-1]), InternalError)
    assert [picture(events[i][-1]) for i in (0, 2)] == [alone[0], alone[2]]
    assert bench.loop.num_failed == 1 and bench.loop.num_succeeded == num_succeeded + 2


def test_failing_network_fails_one(folder_of: Callable[[str], Path]) -> None:
    """A forward that fails fails its request; the next request finds everything in order."""
    bench = Bench(folder_of("stable-diffusion"))
    good = bench.pictures([GOOD])
    unet = bench.networks["unet"]
    asked = []

    class Failing:
        name, fingerprint = unet.name, unet.fingerprint

        def __call__(self, inputs: Any) -> Any:
            asked.append(1)
            if len(asked) == 3:
                raise RuntimeError("out of memory")
            return unet(inputs)

    bench.networks["unet"] = Failing()
    assert isinstance(failure(bench.run([GOOD])[0][-1]), InternalError)
    assert bench.pictures([GOOD]) == good


def test_cancelled_request_is_unwound(folder_of: Callable[[str], Path]) -> None:
    """A request that is given up at any forward leaves no trace in the next one's picture."""
    bench = Bench(folder_of("flux"))
    good = bench.pictures([GOOD])
    asking = Asking(bench.model, [GOOD])
    for num_forwards in range(1, 6):
        pipeline = asking.pipeline(GOOD.params())
        forward = next(pipeline)
        for _ in range(num_forwards - 1):
            forward = pipeline.send(bench.networks[forward.network](forward.inputs))
        pipeline.close()
    assert bench.pictures([GOOD]) == good


def test_sampler_that_no_seed_decides(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers from the process's own generator are an error, not a picture made once."""
    bench = Bench(folder_of("stable-diffusion"))
    step = diffusers.PNDMScheduler.step

    def drawing(self: Any, output: Any, *args: Any, **kwargs: Any) -> Any:
        return step(self, output + torch.randn_like(output) * 0.01, *args, **kwargs)

    monkeypatch.setattr(diffusers.PNDMScheduler, "step", drawing)
    error = failure(bench.run([GOOD])[0][-1])
    assert isinstance(error, InternalError) and "PNDMScheduler" in error.message


def test_safety_checker_refuses(tmp_path: Path) -> None:
    """A picture that the checkpoint's own checker blackens is refused, not sent."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "checked", **tiny.safety_checker(threshold=-2.0))
    error = refusal(Bench(folder), GOOD)
    assert error.param == "prompt" and "safety checker" in error.message
    calm = tiny.stable_diffusion(tmp_path / "calm", **tiny.safety_checker(threshold=2.0))
    assert Bench(calm).pictures([GOOD])


def test_schnell_takes_no_guidance(tmp_path: Path) -> None:
    """The distilled FLUX is known by its network, has its own steps, and no guidance to set."""
    from . import tiny

    stock = LoadedCheckpoint(checkpoint.read(tiny.flux(tmp_path / "schnell", is_schnell=True)))
    model = DiffusersModel(MODEL, stock, ServingOptions())
    assert (model.steps, model.guidance) == (4, None)
    with pytest.raises(SettingsError, match="guidance is 3.5"):
        DiffusersModel(MODEL, stock, ServingOptions(guidance=3.5))
    assert Bench(stock.checkpoint.folder).pictures([GOOD])


def test_weights_are_named_by_their_content(folder_of: Callable[[str], Path]) -> None:
    """The digest is that of the loaded files: another weight is another model."""
    bench = Bench(folder_of("stable-diffusion"))
    other = Bench(folder_of("stable-diffusion-xl"))
    digest = bench.model.info.weights_sha256
    assert len(digest) == 64 and digest != other.model.info.weights_sha256
    assert all(digest in network.fingerprint for network in bench.networks.values())
    assert len({network.fingerprint for network in bench.networks.values()}) == 3


def test_device_that_is_not_there(folder_of: Callable[[str], Path]) -> None:
    """A CUDA device that torch does not find is told in a line that says how many it finds."""
    num_found = torch.cuda.device_count()
    with pytest.raises(SettingsError, match=f"torch finds {num_found} CUDA devices"):
        Bench(folder_of("stable-diffusion"), device=f"cuda:{num_found}")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """A checkpoint whose weights are not safetensors is refused before anything is unpacked."""
    from . import tiny

    folder = tiny.stable_diffusion(tmp_path / "pickled")
    for file in (folder / "unet").glob("*.safetensors"):
        torch.save({}, file.with_suffix(".bin"))
        file.unlink()
    with pytest.raises(SettingsError, match=r"unet has no \*\.safetensors"):
        checkpoint.read(folder)


def test_index_of_a_real_save(folder_of: Callable[[str], Path]) -> None:
    """What the library writes is what is read: every network of each family is found."""
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
    """Also where an encoder beside the longest reader cuts one off, which the library tells."""
    long = "the very old house on the green sea " * 6
    assert Bench(folder_of("stable-diffusion-3")).pictures([replace(GOOD, prompt=long)])
    printed = capfd.readouterr()
    assert "green" not in caplog.text + printed.out + printed.err


def test_loading_again_keeps_what_is_loaded(folder_of: Callable[[str], Path]) -> None:
    """Ids that share a checkpoint, and an engine that is started again, find it in memory."""
    stock = LoadedCheckpoint(checkpoint.read(folder_of("stable-diffusion")))
    one, other = (DiffusersModel(name, stock, ServingOptions()) for name in ("one", "other"))
    networks = one.load()
    torch.set_grad_enabled(True)
    assert other.load() is networks and not torch.is_grad_enabled()
    assert one.info.weights_sha256 == other.info.weights_sha256 != ""


def test_unloaded_and_loaded_again(folder_of: Callable[[str], Path]) -> None:
    """A checkpoint that made room leaves no weights behind, and draws the same when it is back."""
    stock = LoadedCheckpoint(checkpoint.read(folder_of("flux")))
    one, other = (DiffusersModel(name, stock, ServingOptions()) for name in ("one", "other"))

    def drawn() -> bytes:
        networks = one.load()
        pipeline, outputs = one.pipeline(GOOD.params()), None
        while True:
            try:
                forward = pipeline.send(outputs)  # type: ignore[arg-type]
            except StopIteration as end:
                return bytes(end.value.tobytes())
            outputs = networks[forward.network](forward.inputs)

    one.steps = 2
    before = drawn()
    weights = weakref.ref(next(stock.pipeline.transformer.parameters()))
    one.unload()
    other.unload()
    assert weights() is None and stock.pipeline is None
    assert drawn() == before


def test_other_weights_than_at_the_start(tmp_path: Path) -> None:
    """A folder whose weights were replaced meanwhile is not loaded again under the old name."""
    from . import tiny

    folder = tiny.flux(tmp_path / "flux")
    stock = LoadedCheckpoint(checkpoint.read(folder))
    stock.load()
    stock.unload()
    (file,) = (folder / "vae").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(SettingsError, match="have changed since the server started"):
        stock.load()
