"""Single files by their header: what they are, and the words for those that are refused.

The tests need no extra. The files have a header and no data.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.single_file import reader
from daguerre.models.diffusers.single_file.layouts import (
    CONFIGURATIONS,
    DENOISER_PREFIX,
    LAYOUTS,
    Layout,
)
from daguerre.models.diffusers.single_file.recognition import recognize

UNET = {
    f"{DENOISER_PREFIX}input_blocks.0.0.weight": (320, 4, 3, 3),
    f"{DENOISER_PREFIX}out.2.weight": (4, 320, 3, 3),
}
LABEL = f"{DENOISER_PREFIX}label_emb.0.0.weight"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167534\n"


def write(
    file: Path,
    shapes: Mapping[str, tuple[int, ...]],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """A sparse file of these tensors."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(file, 8 + len(text) + end)
    return file


def complete(
    layout: Layout, number: int = 0, prefix: str = DENOISER_PREFIX
) -> dict[str, tuple[int, ...]]:
    """Tensors that show the layout, a published size, and every component."""
    variant = layout.variants[number]
    parts = {f"{prefixes[0]}weight": (1,) for prefixes in layout.prefixes.values()}
    return {
        **parts,
        **{prefix + name: shape for name, shape in variant.shapes.items()},
        **({} if layout.denoiser == "unet" else {prefix + layout.mark: (1,)}),
    }


VARIANTS = [
    (layout, number, prefix, variant.configuration)
    for layout in LAYOUTS
    for number, variant in enumerate(layout.variants)
    for prefix in ([DENOISER_PREFIX] if layout.denoiser == "unet" else [DENOISER_PREFIX, ""])
]


@pytest.mark.parametrize("start", [b"\x80", b"PK"])
def test_length_that_begins_like_a_pickle(start: bytes, tmp_path: Path) -> None:
    """A file begins with the length of its header, whose first bytes may be any."""
    shapes = complete(LAYOUTS[0])
    file = tmp_path / "model.safetensors"
    length = struct.unpack("<Q", write(file, shapes, {"note": ""}).read_bytes()[:8])[0]
    step = 256 ** len(start)
    note = "x" * ((int.from_bytes(start, "little") - length) % step)
    assert write(file, shapes, {"note": note}).read_bytes().startswith(start)
    assert recognize(file).layout is LAYOUTS[0]


@pytest.mark.parametrize(("layout", "number", "prefix", "configuration"), VARIANTS)
def test_published_sizes(
    layout: Layout, number: int, prefix: str, configuration: str, tmp_path: Path
) -> None:
    """Files of a known family and size have their configuration in the package."""
    found = recognize(write(tmp_path / "m.safetensors", complete(layout, number, prefix)))
    assert (found.layout, found.variant) == (layout, layout.variants[number])
    assert found.prefixes[layout.denoiser] == (prefix,)
    assert found.prefixes.keys() == {layout.denoiser, *layout.prefixes}
    assert found.distillation is None and found.sampler == {}


@pytest.mark.parametrize(
    ("layout", "pipeline"),
    [(layout, layout.pipeline) for layout in LAYOUTS if layout.denoiser == "unet"][::2],
)
def test_complete_file_needs_no_base(layout: Layout, pipeline: str, tmp_path: Path) -> None:
    """Its digest names the file, the configurations and CLIP's vocabulary."""
    read = reader.read(write(tmp_path / "m.safetensors", complete(layout)))
    assert read.family.pipeline == pipeline and read.path == tmp_path / "m.safetensors"
    assert [file.name for file in read.weights] == ["m.safetensors"]
    names = {file.name for file in read.files()}
    assert {"model_index.json", "clip_merges.txt", "scheduler_config.json"} <= names
    moved = reader.read(write(tmp_path / "other name.safetensors", complete(layout)))
    assert moved.sha256() == read.sha256()
    turbo = reader.read(write(tmp_path / "turbo.safetensors", complete(layout)))
    assert turbo.sha256() != read.sha256()  # it has another sampler


def test_stable_diffusion_3_without_t5(tmp_path: Path) -> None:
    """Without a base there is no tokenizer for T5, so the family's optional encoder is left out."""
    layout = next(layout for layout in LAYOUTS if layout.pipeline == "StableDiffusion3Pipeline")
    read = reader.read(write(tmp_path / "m.safetensors", complete(layout)))
    assert read.missing_components == {"text_encoder_3", "tokenizer_3"}
    assert "text_encoder_3" not in read.networks


@pytest.mark.parametrize(
    ("name", "title", "steps", "guidance", "spacing"),
    [
        ("sd_xl_turbo_1.0_fp16", "", 4, 0.0, "trailing"),
        ("x", "SDXL Turbo", 4, 0.0, "trailing"),
        ("sdxl_lightning_8step", "", 8, 0.0, "trailing"),
        ("RealVis-XL-Lightning", "", 4, 0.0, "trailing"),
        ("turbocharged", "", None, None, None),
    ],
)
def test_distilled_sdxl(
    name: str, title: str, steps: int | None, guidance: float | None, spacing: str, tmp_path: Path
) -> None:
    """The name of the file or its title show that a checkpoint is distilled."""
    layout = next(layout for layout in LAYOUTS if layout.checkpoints == "SDXL")
    metadata = {"modelspec.title": title}
    found = recognize(write(tmp_path / f"{name}.safetensors", complete(layout), metadata))
    kind = found.distillation
    assert (kind and kind.steps, kind and kind.guidance) == (steps, guidance)
    assert found.sampler.get("timestep_spacing") == spacing
    read = reader.read(tmp_path / f"{name}.safetensors")
    assert (read.family.steps, read.family.guidance) == (steps or 50, 5.0 if steps is None else 0.0)


def test_distilled_stable_diffusion_3(tmp_path: Path) -> None:
    """It keeps its sampler."""
    layout = next(layout for layout in LAYOUTS if layout.pipeline == "StableDiffusion3Pipeline")
    found = recognize(write(tmp_path / "sd3.5_large_turbo.safetensors", complete(layout, 2)))
    assert found.distillation and found.sampler == {}
    assert found.distillation.defaults == {"steps": 4, "guidance": 0.0}


def test_distilled_family(tmp_path: Path) -> None:
    """The name of FLUX.1 [schnell] changes nothing: its tensors show that it is distilled."""
    base = tmp_path / "base"
    for name in ("tokenizer_2", "text_encoder_2"):
        (base / name).mkdir(parents=True)
        (base / name / "config.json").write_text("{}")
    index = (CONFIGURATIONS / "flux-schnell" / "model_index.json").read_text()
    (base / "model_index.json").write_text(index)
    layout = next(layout for layout in LAYOUTS if layout.pipeline == "FluxPipeline")
    found = [
        reader.read(write(tmp_path / "turbo.safetensors", complete(layout, number)), base)
        for number in (0, 1)
    ]
    assert [(read.family.steps, read.family.guidance) for read in found] == [(8, 3.5), (4, None)]
    assert [bool(read.distillation) for read in found] == [True, False]


def tensor_shapes(checkpoint: Checkpoint, component: str) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in checkpoint.tensors(component)]


def test_memory_counts_what_is_loaded(tmp_path: Path) -> None:
    """Moving averages are not loaded. A denoiser without a prefix has the tensors of no other."""
    layout = next(layout for layout in LAYOUTS if layout.pipeline == "StableDiffusion3Pipeline")
    plain = reader.read(write(tmp_path / "m.safetensors", complete(layout, prefix="")))
    assert tensor_shapes(plain, "vae") == [(1,)] == tensor_shapes(plain, "text_encoder_2")
    own = [*layout.variants[0].shapes.values(), (1,)]
    assert sorted(tensor_shapes(plain, "transformer")) == sorted(own)
    unet = next(layout for layout in LAYOUTS if layout.checkpoints == "SDXL")
    shapes = {**complete(unet), "model_ema.diffusion_modelout2weight": (4, 320, 3, 3)}
    read = reader.read(write(tmp_path / "m.safetensors", shapes))
    read.path.unlink()  # its header was read once
    assert sorted(tensor_shapes(read, "unet")) == sorted(unet.variants[0].shapes.values())


def test_velocity_prediction(tmp_path: Path) -> None:
    """Two empty tensors mark it, or the metadata of a training tool."""
    layout = next(layout for layout in LAYOUTS if layout.checkpoints == "SDXL")
    shapes = {**complete(layout), "v_pred": (0,), "ztsnr": (0,)}
    found = recognize(write(tmp_path / "m.safetensors", shapes)).sampler
    assert found["prediction_type"] == "v_prediction" and found["rescale_betas_zero_snr"]
    metadata = {"modelspec.prediction_type": "v"}
    found = recognize(write(tmp_path / "m.safetensors", complete(layout), metadata)).sampler
    assert found == {"prediction_type": "v_prediction"}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "is a ControlNet"),
        ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, "is a ControlNet"),
        ({"ip_adapter.1.to_k_ip.weight": (320, 768)}, "is an IP-Adapter"),
        ({"blocks.0.attn.qkv_x.weight": (9, 3)}, "is a video model"),
        ({"head.modulation": (1, 2, 1536)}, "is a video model"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "scaled_fp8": (2,)}, "scaled"),
        ({"double_blocks.0.img_attn.qkv.weight.absmax": (9,)}, "quantized by bitsandbytes"),
        ({**UNET, "edm_mean": (4,)}, "is Playground 2.5"),
        ({"distilled_guidance_layer.in_proj.bias": (9,)}, "is Chroma"),
        ({"single_stream_modulation.lin.weight": (9,)}, "is FLUX.2"),
        ({"text_model.embeddings.token_embedding.weight": (9,)}, "is a text encoder alone"),
        ({"model.layers.0.self_attn.q_proj.weight": (9,)}, "is a language model"),
        ({"body.0.rdb1.conv1.weight": (64, 64, 3, 3)}, "is an upscaler"),
        ({"bert.encoder.layer.0.output.dense.weight": (9,)}, "is a text encoder alone"),
        ({"weight": (1,)}, "is of an unknown kind, its first tensor is weight"),
        ({}, "is of an unknown kind, its first tensor is none"),
        ({**UNET, LABEL: (1536, 2560)}, "is the refiner of SDXL"),
        ({**UNET, "conditioner.embedders.0.model.ln_final.bias": (9,)}, "is the refiner of SDXL"),
        ({**UNET, f"{DENOISER_PREFIX}input_blocks.0.0.weight": (320, 9, 3, 3)}, "is an inpainting"),
        ({**UNET, f"{DENOISER_PREFIX}input_blocks.0.0.weight": (320, 8, 3, 3)}, "InstructPix2Pix"),
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
                "img_in.weight": (3072, 384),
                "final_layer.linear.weight": (64, 3072),
            },
            "is FLUX.1 Fill",
        ),
    ],
)
def test_other_files_are_named(
    shapes: dict[str, tuple[int, ...]], words: str, tmp_path: Path
) -> None:
    """The error says what the file is and what is accepted, in one line."""
    file = write(tmp_path / "m.safetensors", shapes)
    message = refusal(file)
    assert message.startswith(f"{file} ") and words in message
    assert "SDXL" in message and "FLUX.1" in message


def torch_file(member: str) -> bytes:
    """An archive with a member of this name, as `torch.save` writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(member, b"")
    return made.getvalue()


def gguf(architecture: str) -> bytes:
    """The head of a GGUF file: version, number of tensors and keys, and the first key."""
    key, value = b"general.architecture", architecture.encode()
    head = struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, len(key))
    return head + key + struct.pack("<IQ", 8, len(value)) + value


@pytest.mark.parametrize(
    ("name", "what", "key"),
    [
        ("lora_unet_down_blocks_0.lora_down.weight", "a LoRA", "loras"),
        ("transformer.x_embedder.lora_A.weight", "a LoRA", "loras"),
        ("emb_params", "a textual inversion", "embeddings"),
        ("decoder.conv_in.weight", "a VAE alone", "vae"),
        ("first_stage_model.decoder.conv_in.weight", "a VAE alone", "vae"),
        (
            "down_blocks.0.resnets.0.conv1.weight",
            "a denoiser alone, in the layout of diffusers",
            "unet or transformer",
        ),
    ],
)
def test_file_of_another_key(name: str, what: str, key: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", {name: (4, 320)})
    assert refusal(file) == (
        f"{file} is {what}, by its tensor {name}; give it in the key {key} of the checkpoint that"
        " it changes"
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.ckpt", b"PK\x03\x04", "a pickle of torch, which can run code"),
        ("m.safetensors", b"PK\x03\x04", "a pickle of torch"),
        ("m.pt", b"\x80\x02}q", "a pickle, which can run code"),
        ("m.pt", torch_file("archive/data.pkl"), "a pickle of torch, which can run code"),
        ("m.zip", torch_file("model_index.json"), "an archive; unpack it"),
        ("m.gguf", b"GGUF\x03", "a GGUF file"),
        ("m.gguf", gguf("llama"), "a GGUF file of a language model (llama)"),
        ("m.gguf", gguf("flux"), "of flux alone; give it in the key unet or transformer"),
        ("m.gguf", gguf("wan"), "a GGUF file of a video model (wan)"),
        ("m.gguf", gguf("llama")[:40], "a GGUF file"),
        ("m.onnx", b"\x08\x07", "an ONNX network"),
        ("m.xml", b"<?xml", "such as a network of OpenVINO"),
        ("m.safetensors.part", b"\x08", "an unfinished download"),
        ("m-00001-of-00002.safetensors", b"\x08", "one part of a model in several files"),
        ("m.safetensors", b"\x89PNG", "an image"),
        ("m.txt", b"m", "a file of the type '.txt'"),
        ("m.safetensors", POINTER, "run: git lfs pull"),
        ("m.safetensors", b"", "is empty"),
        ("m.safetensors", b"\xff" * 99, "is damaged"),
    ],
)
def test_other_formats_are_named(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    message = refusal(tmp_path / name)
    assert message.startswith(str(tmp_path / name)) and words in message


def test_truncated_file(tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", UNET)
    os.truncate(file, file.stat().st_size - 1)
    assert "download it again" in refusal(file)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.variants][2:])
def test_lacking_components(layout: Layout, tmp_path: Path) -> None:
    """A denoiser alone lacks the rest, and the error lists it."""
    variant = layout.variants[0]
    shapes = {**variant.shapes, layout.mark: (1,)}
    message = refusal(write(tmp_path / "m.safetensors", shapes))
    assert "without text_encoder, text_encoder_2" in message and "vae; add a base" in message
    assert layout.pipeline in message


def test_unknown_size(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "m.safetensors", UNET))
    assert "is Stable Diffusion 1.x, of a size that daguerre has no configuration for" in message
    assert "add a base" in message and "StableDiffusionPipeline" in message
    message = refusal(write(tmp_path / "m.safetensors", {**UNET, LABEL: ()}))
    assert "is SDXL, of a size" in message
    assert "(label_emb.0.0.weight is of shape (), not of shape (1280, 2816))" in message
    large = next(layout for layout in LAYOUTS if layout.pipeline == "StableDiffusion3Pipeline")
    shapes = complete(large, 2)
    del shapes[f"{DENOISER_PREFIX}joint_blocks.37.x_block.mlp.fc1.weight"]
    message = refusal(write(tmp_path / "m.safetensors", shapes))
    assert (
        "(joint_blocks.37.x_block.mlp.fc1.weight is missing, not of shape (9728, 2432))" in message
    )


def test_published_size_with_a_base(tmp_path: Path) -> None:
    """The base has only what neither the file nor the package has; the rest of it is not read."""
    layout = next(layout for layout in LAYOUTS if layout.pipeline == "FluxPipeline")
    shapes = complete(layout)
    del shapes["text_encoders.t5xxl.transformer.weight"]
    base = tmp_path / "base"
    index = json.loads((CONFIGURATIONS / "flux-schnell/model_index.json").read_text())
    for name in ("tokenizer_2", "text_encoder_2"):
        (base / name).mkdir(parents=True)
        (base / name / "config.json").write_text("{}")
    write(base / "text_encoder_2/model.safetensors", {"shared.weight": (3, 2)})
    (base / "model_index.json").write_text(json.dumps(index))
    read = reader.read(write(tmp_path / "m.safetensors", shapes), base)
    folders = {name: read.component_folder(name) for name in read.components}
    assert {name for name, folder in folders.items() if folder.parent == base} == {
        "tokenizer_2",
        "text_encoder_2",
    }
    assert folders["transformer"] == CONFIGURATIONS / "flux-dev/transformer"
    assert (read.family.steps, read.family.guidance) == (28, 3.5)
    assert [file.name for file in read.weights] == ["model.safetensors", "m.safetensors"]
    index["text_encoder_2"] = ["maker", "Encoder"]
    (base / "model_index.json").write_text(json.dumps(index))
    assert "text_encoder_2 is from 'maker'" in refusal(tmp_path / "m.safetensors", base)


def test_base_of_another_family(tmp_path: Path) -> None:
    file = write(tmp_path / "m.safetensors", UNET)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    message = refusal(file, tmp_path / "base")
    assert "is a FluxPipeline" in message and "must be a StableDiffusionPipeline" in message
    assert "does not exist" in refusal(file, tmp_path / "none")
    assert "is a file; it must be a directory" in refusal(file, file)


def refusal(file: Path, base: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        reader.read(file, base)
    assert "\n" not in caught.value.message
    return caught.value.message
