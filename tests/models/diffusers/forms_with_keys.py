"""Forms of a checkpoint with keys of the catalog, such as LoRAs, another VAE or a sampler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from daguerre.models.diffusers.adapters.lora import Lora

from . import lora_files, original_layout, test_clip_skip, test_loras, tiny
from .forms import Case, Files, Form, directory, load, setting, single_file
from .test_prompt_chunks import LONG, embeddings
from .test_replacements import changed
from .test_served import megapixel

TOKEN = "<toy>"
OF_SDXL = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
SAMPLER = "DPMSolverMultistepScheduler"
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}


# What changes the weights.


def loras(case: Case, family: str, files: Files) -> Case:
    """One with kohya's keys and one with diffusers', each with a scale."""
    first, second = files.home / "ink.safetensors", files.home / "line.safetensors"
    lora_files.write(first, *{"sd1": test_loras.sd, "sdxl": test_loras.sdxl}[family](case.pipeline))
    lora_files.write(second, *test_loras.peft(case.pipeline, rank=2))
    pipeline = lora_files.fuse(case.pipeline, Lora(first, 0.8), Lora(second, -0.5))
    return Case(
        case.path, pipeline, case.base, ("--lora", f"{first}:0.8", "--lora", f"{second}:-0.5")
    )


def loras_on_a_directory(files: Files) -> Case:
    return loras(directory("stable-diffusion", files), "sd1", files)


def loras_on_a_single_file(files: Files) -> Case:
    return loras(single_file("sdxl", files), "sdxl", files)


def embedding(case: Case, keys: Mapping[str, str], files: Files) -> Case:
    """A token of three vectors in each text encoder; `keys` are their names in the file."""
    tensors = {}
    for key, encoder in keys.items():
        width = getattr(case.pipeline, encoder).config.hidden_size
        tensors[key] = torch.randn((3, width), generator=torch.Generator().manual_seed(1)) / 2
        case.pipeline.load_textual_inversion(
            tensors[key],
            token=TOKEN,
            text_encoder=getattr(case.pipeline, encoder),
            tokenizer=getattr(case.pipeline, encoder.replace("text_encoder", "tokenizer")),
        )
    save_file(tensors, files.home / "toy.safetensors")
    table = f'embeddings=[{{path = "{files.home / "toy.safetensors"}", token = "{TOKEN}"}}]'
    return replace(case, options=("--set", table), prompt=f"a red {TOKEN} in the snow")


def embedding_on_a_directory(files: Files) -> Case:
    case = directory("stable-diffusion", files)
    return embedding(case, {"emb_params": "text_encoder"}, files)


def embedding_on_a_single_file(files: Files) -> Case:
    return embedding(single_file("sdxl", files), OF_SDXL, files)


# Other components.


def other_vae(files: Files) -> Case:
    vae, file = changed(tiny.vae()), files.home / "vae.safetensors"
    original_layout.write(file, original_layout.vae(vae, ""))
    folder = files.folder_of("stable-diffusion")
    return Case(folder, load(folder, vae=vae), options=setting("vae", str(file)))


def other_unet(files: Files) -> Case:
    case, unet = single_file("sd1", files), changed(tiny.unet(cross_attention_dim=32))
    unet.save_pretrained(files.home / "unet")
    case.pipeline.register_modules(unet=unet)
    return replace(case, options=setting("unet", str(files.home / "unet")))


def other_transformer(files: Files) -> Case:
    folder, file = files.folder_of("flux"), files.home / "flux.safetensors"
    transformer = changed(load(folder).transformer)
    original_layout.write(file, original_layout.flux(transformer))
    options = setting("transformer", str(file))
    return Case(folder, load(folder, transformer=transformer), options=options)


def transformer_of_gguf(files: Files) -> Case:
    pytest.importorskip("gguf", reason="the extra daguerre[gguf] is not installed")
    from . import test_gguf

    folder, file = files.folder_of("flux"), files.home / "flux.gguf"
    test_gguf.write(file, original_layout.flux(load(folder).transformer), "Q8_0")
    transformer = diffusers.FluxTransformer2DModel.from_single_file(
        str(file),
        quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=torch.float32),
        config=str(folder / "transformer"),
        dtype=torch.float32,
    )
    options = setting("transformer", str(file))
    return Case(folder, load(folder, transformer=transformer), options=options)


# How it is served.


def with_sampler(case: Case, **options: Any) -> Case:
    sampler = getattr(diffusers, SAMPLER).from_config(case.pipeline.scheduler.config, **options)
    case.pipeline.scheduler = sampler
    keys = "".join(f", {key} = {json.dumps(value)}" for key, value in options.items())
    table = f'sampler={{ class = "{SAMPLER}"{keys} }}'
    return replace(case, options=("--set", table))


def sampler(files: Files) -> Case:
    return with_sampler(single_file("sd1", files), use_karras_sigmas=True)


def sampler_for_flow_matching(files: Files) -> Case:
    return with_sampler(directory("stable-diffusion-3", files), **FLOW)


def clip_skip(files: Files) -> Case:
    folder = test_clip_skip.stable_diffusion_xl(files.home / "tiny")
    return Case(folder, load(folder), options=setting("clip_skip", 1), call={"clip_skip": 1})


def extra_size(files: Files) -> Case:
    folder = megapixel(files.home / "tiny")
    return Case(folder, load(folder), options=setting("extra_sizes", ["256x320"]), size=(256, 320))


def native_size(files: Files) -> Case:
    folder = megapixel(files.home / "tiny")
    options = (*setting("native_size", 256), *setting("extra_sizes", ["512x512"]))
    return Case(folder, load(folder), options=options, size=(512, 512), drawn=(256, 256))


def long_prompt(files: Files) -> Case:
    """128 tokens: the stock pipeline gets the embeddings of two chunks."""
    case = directory("stable-diffusion", files)
    with torch.no_grad():
        both = [embeddings(case.pipeline, text, 2)[0] for text in (LONG, "")]
    call = {"prompt": None, "prompt_embeds": both[0], "negative_prompt_embeds": both[1]}
    return replace(case, prompt=LONG, call=call)


def several_keys(files: Files) -> Case:
    """LoRAs, an embedding, another VAE and a sampler, on a single file."""
    case, vae = loras_on_a_single_file(files), changed(tiny.vae())
    options = [*case.options]
    case = embedding(case, OF_SDXL, files)
    options += case.options
    case.pipeline.register_modules(vae=vae)
    vae.save_pretrained(files.home / "vae")
    options += setting("vae", str(files.home / "vae"))
    case = with_sampler(case, use_karras_sigmas=True)
    return replace(case, options=(*options, *case.options))


def offload(method: str, files: Files) -> Case:
    case = directory("stable-diffusion", files)
    options = (*setting("offload", method), *setting("device", "cuda"))
    return replace(case, pipeline=case.pipeline.to("cuda"), options=options)


FORMS: Mapping[str, Form] = {
    "LoRAs on a directory": loras_on_a_directory,
    "LoRAs on a single file": loras_on_a_single_file,
    "embedding on a directory": embedding_on_a_directory,
    "embedding on a single file": embedding_on_a_single_file,
    "vae": other_vae,
    "unet of a single file": other_unet,
    "transformer": other_transformer,
    "transformer of GGUF": transformer_of_gguf,
    "sampler for a single file": sampler,
    "sampler for flow matching": sampler_for_flow_matching,
    "clip_skip": clip_skip,
    "extra size": extra_size,
    "native size": native_size,
    "long prompt": long_prompt,
    "several keys on a single file": several_keys,
    "offloaded models": partial(offload, "model"),
    "offloaded groups": partial(offload, "group"),
}
