"""Offloading: the same bits, with hooks that move weights to the device and back.

The device is the CPU, so the weights move from its memory to its memory. Which hooks run, and in
which order, is the same on a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import offload
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig

from .conftest import REASON, Bench, Request

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=3, num_previews=1),
    Request("cat", seed=2, steps=2, num_previews=1),
)


@pytest.fixture
def _allowed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "check_device", lambda where, method, device: None)


@pytest.mark.parametrize("method", offload.METHODS)
@pytest.mark.parametrize("family", ["stable-diffusion-xl", "flux", "qwen-image"])
@pytest.mark.usefixtures("_allowed_on_a_cpu")
def test_same_images(method: str, family: str, folder_of: Callable[[str], Path]) -> None:
    """Alone and concurrently, after a reload, too; previews are drawn."""
    plain, bench = Bench(folder_of(family)), Bench(folder_of(family), offload=method)
    expected = plain.images(REQUESTS)
    assert [bench.images([request])[0] for request in REQUESTS] == expected
    assert bench.images(REQUESTS) == expected
    assert bench.model.weights_key.latent_to_rgb is not None
    bench.model.unload()
    assert Bench(folder_of(family), offload=method).images(REQUESTS) == expected


@pytest.mark.usefixtures("_allowed_on_a_cpu")
def test_one_network_at_a_time(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a forward of a network, all others are moved to the CPU, whatever ran before."""
    from accelerate.hooks import CpuOffload

    bench = Bench(folder_of("stable-diffusion"), offload="model")
    pipeline = bench.model.weights_key.pipeline
    names = {part: name for name, part in pipeline.components.items() if name in bench.networks}
    on_device, seen = set[str](), list[set[str]]()

    def move_to_device(self: Any, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        on_device.add(names[module])
        seen.append(set(on_device))
        return args, kwargs

    def move_to_cpu(self: Any, module: Any) -> Any:
        on_device.discard(names[module])
        return module

    monkeypatch.setattr(CpuOffload, "pre_forward", move_to_device)
    monkeypatch.setattr(CpuOffload, "init_hook", move_to_cpu)
    assert all(bench.images(REQUESTS))
    assert {name for names in seen for name in names} == {"text_encoder", "unet", "vae"}
    assert all(len(names) == 1 for names in seen)


@pytest.mark.usefixtures("_allowed_on_a_cpu")
def test_one_layer_at_a_time(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer of the text encoder and the denoiser is moved alone, and then moved back."""
    from diffusers.hooks.group_offloading import ModuleGroup

    bench = Bench(folder_of("stable-diffusion"), offload="group")
    pipeline = bench.model.weights_key.pipeline
    layers = {
        name: {part for part in network.modules() if isinstance(part, torch.nn.Linear)}
        for name, network in pipeline.components.items()
        if name in bench.networks
    }
    on_device, moved = set[Any](), set[Any]()

    def move_to_device(self: Any) -> None:
        on_device.update(part for part in self.modules if isinstance(part, torch.nn.Linear))
        moved.update(on_device)
        assert len(on_device) <= 1

    def move_to_cpu(self: Any) -> None:
        on_device.difference_update(self.modules)

    monkeypatch.setattr(ModuleGroup, "onload_", move_to_device)
    monkeypatch.setattr(ModuleGroup, "offload_", move_to_cpu)
    assert all(bench.images(REQUESTS)) and not on_device
    assert layers["vae"] and moved == layers["text_encoder"] | layers["unet"]


@pytest.mark.usefixtures("_allowed_on_a_cpu")
def test_memory(folder_of: Callable[[str], Path]) -> None:
    """The device holds the largest network, or two layers and the decoder."""

    def needed(**config: Any) -> int:
        options = PipelineConfig(folder_of("flux"), device="cpu", **config)
        return LoadedCheckpoint(options).num_bytes

    whole, model, group = (needed(offload=method) for method in (None, "model", "group"))
    assert group < model < whole


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_on_a_cpu(device: str, folder_of: Callable[[str], Path]) -> None:
    """The error names the device that "auto" found, and why offloading has no use there."""
    config = PipelineConfig(folder_of("flux"), device=device, executor="openvino", offload="group")
    with pytest.raises(
        SettingsError, match="offload is 'group', which needs a CUDA device; device"
    ):
        LoadedCheckpoint(config)
