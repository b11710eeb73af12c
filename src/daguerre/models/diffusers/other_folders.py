"""Names a directory without a supported checkpoint in diffusers format. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daguerre.models.diffusers.component_files import INDEX, SHARD, WEIGHTS
from daguerre.models.diffusers.replacement import GGUF
from daguerre.models.diffusers.single_file.formats import describe_format

_ACCEPTED = f"a checkpoint is a directory with {INDEX}, or a single {WEIGHTS} file"
_MAX_NAMES = 5
_OTHER_WEIGHTS = (".bin", ".ckpt", ".npz", ".pt", ".pth")
# Pattern of a pipeline's class -> what it does. The first that matches counts.
_PIPELINES: Mapping[str, str] = {
    r"^Onnx|^ORT": "runs ONNX networks",
    r"^OV": "runs networks that optimum-intel converted to OpenVINO",
    r"Video|AnimateDiff|^(Allegro|CogVideoX|ConsisID|EasyAnimate|Framepack|Helios|HunyuanSkyreels|"
    r"Latte|LTX|Mochi|SkyReels|Wan)": "makes videos",
    r"Audio|Music": "makes audio",
    r"ControlNet|Adapter|Control|Img2Img|Inpaint|Fill|Edit|Kontext|Redux|Upscale|Pix2Pix|"
    r"Depth|Variation|ImageToImage|Layered|Instruct": "needs an image besides the prompt",
    r"Prior|Decoder": "is one part of several pipelines",
}
# The same for a class of diffusers or transformers, of a directory with a single component.
_COMPONENTS: Mapping[str, str] = {
    r"ControlNet|Adapter": "a ControlNet or an adapter",
    r"^Autoencoder|^VQModel|^Consistency.*Decoder": "a VAE alone, for the key vae of a checkpoint",
    r"UNet|Transformer2DModel|Transformer3DModel": "a denoiser alone, for the key unet or"
    " transformer of a checkpoint",
    r"^CLIP|^T5|^UMT5|TextModel|EncoderModel": "a text encoder alone",
    r"ForCausalLM|ForConditionalGeneration|LMHeadModel": "a language model",
    r"Whisper|Wav2Vec|SpeechT5": "a speech model",
}
# Pattern of a file's name -> what a directory with it is.
_FILES: Mapping[str, str] = {
    r"^adapter_config\.json$|^pytorch_lora_weights\.safetensors$": "a LoRA, for the key loras"
    " of a checkpoint",
    r"^modular_model_index\.json$": "a modular pipeline, which names its components elsewhere",
    r"\.onnx$": "a directory of ONNX networks",
    r"^openvino_.*\.xml$": "a directory of networks for OpenVINO",
    r"^ip-adapter.*|^ip_adapter.*": "an IP-Adapter",
    r"^learned_embeds\.": "a textual inversion, for the key embeddings of a checkpoint",
}


def describe_pipeline(name: str) -> str:
    """What a pipeline that is not supported does, such as ", which makes videos"."""
    kinds = (what for pattern, what in _PIPELINES.items() if re.search(pattern, name))
    return next((f", which {what}" for what in kinds), "")


def describe_folder(folder: Path) -> str:
    """What a directory without an index is, and what to do."""
    if (folder.parent / INDEX).exists():
        return f"it is a component of {folder.parent}; use that path"
    names = sorted(file.name for file in folder.iterdir())
    if not names:
        return "it is empty; a download may have failed"
    if snapshots := _checkpoints(folder, f"snapshots/*/{INDEX}"):
        return f"it is a hub's cache; use a snapshot: {snapshots}"
    if caches := sorted(str(path) for path in folder.glob("models--*"))[:_MAX_NAMES]:
        return f"it has the caches of several repositories; use one: {', '.join(caches)}"
    if inside := _checkpoints(folder, f"*/{INDEX}"):
        return f"it has checkpoints inside; use one of them: {inside}"
    if what := next(_kinds(folder, names), None):
        return f"it is {what}; {_ACCEPTED}"
    if file := next((folder / name for name in names if name.endswith(GGUF)), None):
        return f"it has {file.name}, {describe_format(file)}"
    return _describe_weights(names)


def _kinds(folder: Path, names: list[str]) -> Iterator[str]:
    for pattern, what in _FILES.items():
        yield from (f"{what}, by its {name}" for name in names if re.search(pattern, name))
    config = _read(folder / "config.json")
    architectures = config.get("architectures")
    classes = architectures if isinstance(architectures, list) else []
    for name in map(str, filter(None, (config.get("_class_name"), *classes))):
        matches = (what for pattern, what in _COMPONENTS.items() if re.search(pattern, name))
        yield f"{next(matches, 'another model')}, by the class {name[:80]!r} in its config.json"


def _describe_weights(names: list[str]) -> str:
    if shards := [name for name in names if SHARD.search(name)]:
        return f"it has {shards[0]}, a part of a model in several files; {_ACCEPTED}"
    if weights := [name for name in names if name.endswith(WEIGHTS)]:
        return f"it has {', '.join(weights[:_MAX_NAMES])}; use the path of a file"
    if others := [name for name in names if name.endswith(_OTHER_WEIGHTS)]:
        return f"it has {others[0]}, which cannot be loaded; get a {WEIGHTS} file"
    return f"it has {', '.join(names[:_MAX_NAMES])}; {_ACCEPTED}"


def _checkpoints(folder: Path, pattern: str) -> str:
    return ", ".join(sorted(str(file.parent) for file in folder.glob(pattern))[:_MAX_NAMES])


def _read(file: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one if there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
