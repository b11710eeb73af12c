"""Directories that are not a supported checkpoint: the error says what they are, in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.other_folders import describe_pipeline

from . import test_recognition


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        checkpoint.read(path)
    message = caught.value.message
    assert str(path) in message and "\n" not in message
    return message


def config(**keys: object) -> str:
    return json.dumps(keys)


def gguf(architecture: str) -> str:
    return test_recognition.gguf(architecture).decode()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "it is empty; a download may have failed"),
        ({"adapter_config.json": "{}", "adapter_model.safetensors": ""}, "the key loras"),
        ({"pytorch_lora_weights.safetensors": ""}, "it is a LoRA"),
        ({"learned_embeds.bin": ""}, "it is a textual inversion, for the key embeddings"),
        ({"modular_model_index.json": "{}"}, "it is a modular pipeline"),
        ({"model.onnx": ""}, "it is a directory of ONNX networks, by its model.onnx"),
        ({"openvino_model.xml": ""}, "it is a directory of networks for OpenVINO"),
        (
            {"config.json": config(_class_name="ControlNetModel"), "a.safetensors": ""},
            "it is a ControlNet or an adapter, by the class 'ControlNetModel' in its config.json",
        ),
        (
            {"config.json": config(_class_name="AutoencoderKL")},
            "it is a VAE alone, for the key vae",
        ),
        (
            {"config.json": config(_class_name="UNet2DConditionModel")},
            "a denoiser alone, for the key unet",
        ),
        ({"config.json": config(architectures=["CLIPTextModel"])}, "it is a text encoder alone"),
        ({"config.json": config(architectures=["LlamaForCausalLM"])}, "it is a language model"),
        ({"config.json": config(architectures=["ResNet"])}, "it is another model, by the class"),
        ({"config.json": config(architectures=7), "x.npz": ""}, "it has x.npz, which cannot be"),
        ({"config.json": "{", "README.md": ""}, "it has README.md, config.json; a checkpoint is"),
        ({"m-00001-of-00002.safetensors": ""}, "a part of a model in several files"),
        ({"a.safetensors": "", "b.safetensors": ""}, "it has a.safetensors, b.safetensors; use"),
        ({"a.bin": "", "flux.gguf": gguf("flux")}, "give it in the key unet or transformer of"),
        ({"llm.gguf": gguf("llama")}, "it has llm.gguf, a GGUF file of a language model (llama)"),
        ({"v1-5.ckpt": ""}, "it has v1-5.ckpt, which cannot be loaded; get a .safetensors file"),
    ],
)
def test_directory(files: dict[str, str], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "sd"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    message = refusal(folder)
    assert message.startswith(f"{folder} has no model_index.json; ") and words in message


def test_directories_inside(tmp_path: Path) -> None:
    """The directory above checkpoints, the root of a hub's cache, and a component."""
    (tmp_path / "models" / "sd" / "unet").mkdir(parents=True)
    (tmp_path / "models" / "sd" / "model_index.json").write_text("{}")
    assert f"use one of them: {tmp_path}/models/sd" in refusal(tmp_path / "models")
    assert f"component of {tmp_path}/models/sd" in refusal(tmp_path / "models" / "sd" / "unet")
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    assert f"use one: {tmp_path}/hub/models--a--b" in refusal(tmp_path / "hub")


def test_no_directory(tmp_path: Path) -> None:
    """A broken link and a special file are called so; neither is read."""
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "none")
    os.mkfifo(pipe)
    assert "is a broken symbolic link" in refusal(link)
    assert "is neither a directory nor a regular file" in refusal(pipe)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("WanPipeline", "which makes videos"),
        ("StableVideoDiffusionPipeline", "which makes videos"),
        ("AudioLDM2Pipeline", "which makes audio"),
        ("StableDiffusionXLImg2ImgPipeline", "which needs an image besides the prompt"),
        ("FluxFillPipeline", "which needs an image besides the prompt"),
        ("OnnxStableDiffusionPipeline", "which runs ONNX networks"),
        ("OVStableDiffusionPipeline", "which runs networks that optimum-intel converted"),
        ("StableCascadePriorPipeline", "which is one part of several pipelines"),
        ("KandinskyPipeline", "'KandinskyPipeline'; supported: "),
        (None, "the pipeline is None; "),
    ],
)
def test_other_pipeline(name: str | None, words: str, tmp_path: Path) -> None:
    """The error names the pipeline, what it does, and the supported ones."""
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    message = refusal(tmp_path)
    assert words in message and "supported: StableDiffusionPipeline, " in message


def test_supported_pipelines_are_not_described() -> None:
    """No pattern fits a pipeline that is served."""
    assert [name for name in FAMILIES if describe_pipeline(name)] == []
