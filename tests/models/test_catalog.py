"""`daguerre.toml`: its keys, the models it describes, and its errors; without the extras."""

from __future__ import annotations

import json
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from daguerre import factory, model_factory
from daguerre.config import Settings
from daguerre.engine.pipeline import EvictableModel
from daguerre.errors import NotFoundError, SettingsError
from daguerre.models import catalog
from daguerre.models.diffusers import checkpoint as checkpoints
from daguerre.models.diffusers import devices, quantization
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.caches import Cache
from daguerre.models.diffusers.model import DEFAULT_MAX_BATCH_SIZE, DiffusersModel
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.embedded.model import EmbeddedModel

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "checkpoints.md"
NO_TENSORS = struct.pack("<Q", 2) + b"{}"  # a safetensors file
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "safety_checker": [None, None],
}


def write(settings: Settings, text: str) -> Settings:
    folder = settings.data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / catalog.FILE_NAME).write_text(text, encoding="utf-8")
    return settings


def checkpoint(folder: Path, **changes: object) -> Path:
    """Creates a checkpoint with an index, and components without tensors."""
    index = {**INDEX, **changes}
    for name, entry in index.items():
        if isinstance(entry, list) and entry[0]:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "model.safetensors").write_bytes(NO_TENSORS)
            for file in ("config.json", "scheduler_config.json"):
                (folder / name / file).write_text("{}")
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def served(settings: Settings) -> list[DiffusersModel]:
    """The models of a catalog of checkpoints; they need no extra until they are loaded."""
    models = model_factory.build_models(settings, factory.read_catalog(settings))
    return [model for model in models if isinstance(model, DiffusersModel)]


def refusal(settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        model_factory.build_models(settings, factory.read_catalog(settings))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_without_a_file(settings: Settings) -> None:
    """Without a catalog, the bundled model has the id that applications send."""
    (model,) = model_factory.build_models(settings, factory.read_catalog(settings))
    assert isinstance(model, EmbeddedModel) and model.info.id == catalog.DEFAULT_MODEL
    assert factory.read_catalog(settings).default_model == catalog.DEFAULT_MODEL
    assert not settings.data_dir().exists()


def test_file_replaces_the_default(settings: Settings) -> None:
    """A catalog replaces the default; the default model is the usual id, or the first."""
    write(settings, '[models."box-2"]\nsource = "embedded"\n[models.box]\nsource = "embedded"\n')
    assert [each.info.id for each in factory.summarize_catalog(settings)] == ["box-2", "box"]
    assert factory.read_catalog(settings).default_model == "box-2"
    write(
        settings,
        '[models.box]\nsource = "embedded"\n[models.stable-image-ultra]\nsource = "embedded"\n',
    )
    assert factory.read_catalog(settings).default_model == catalog.DEFAULT_MODEL


def test_one_model_of_the_catalog(settings: Settings) -> None:
    """A catalog of one model; the error for an unknown id lists the models."""
    write(settings, '[models.one]\nsource = "embedded"\n[models.two]\nsource = "embedded"\n')
    assert list(factory.read_catalog(settings).only("two").models) == ["two"]
    with pytest.raises(NotFoundError, match="no model 'three'; models: one, two"):
        factory.read_catalog(settings).only("three")


def test_checkpoint_with_all_keys(settings: Settings) -> None:
    """Every key reaches the model; a relative path starts at the catalog."""
    checkpoint(settings.data_dir() / "sd")
    write(
        settings,
        '[models.sd]\nsource = "diffusers"\npath = "sd"\ndtype = "bfloat16"\ndevice = "cuda:1"\n'
        'steps = 12\nguidance = 4\nmax_batch_size = 4\nname = "Our SD"\n'
        'load = "on_demand"\nexecutor = "eager"\nbatching = "throughput"\n'
        'extra_sizes = ["512x512", "768x512"]\nnative_size = 640\n'
        'sampler = { class = "UniPCMultistepScheduler", disable_corrector = [0] }\n'
        "clip_skip = 2\n",
    )
    (model,) = served(settings)
    assert (model.steps, model.guidance, model.max_batch_size) == (12, 4, {"unet": 4})
    assert (model.info.id, model.info.name) == ("sd", "Our SD")
    assert (model._loaded.config.executor, model.info.batching) == ("eager", "throughput")
    assert (model._loaded.config.dtype, model._loaded.device) == ("bfloat16", "cuda:1")
    assert (model.device, model.preload) == ("cuda:1", False)
    assert not model._loaded.config.tf32
    assert model.info.extra_sizes == ("512x512", "768x512")
    assert model.info.drawn_sizes["1024x1024"] == "640x640"
    assert not {"512x512", "768x512"} & {*model.info.drawn_sizes}
    description = model.info.description
    assert "sampler UniPCMultistepScheduler disable_corrector=(0,), clip_skip 2" in description
    assert factory.read_catalog(settings).extra_sizes == {"sd": ("512x512", "768x512")}


def test_components_from_other_paths(settings: Settings) -> None:
    """Their paths start at the catalog, and are part of the shared configuration."""
    home = settings.data_dir()
    checkpoint(home / "sd")
    for name, class_name in (("vae", "AutoencoderKL"), ("unet", "UNet2DConditionModel")):
        folder = home / f"other-{name}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"_class_name": class_name}))
        (folder / "model.safetensors").write_bytes(NO_TENSORS)
    table = '[models.{}]\nsource = "diffusers"\npath = "sd"\n{}\n'
    others = 'vae = "other-vae"\nunet = "other-unet"'
    write(settings, table.format("own", "") + table.format("other", others))
    own, other = served(settings)
    assert own._loaded is not other._loaded
    assert dict(other._loaded.config.components) == {
        name: home / f"other-{name}" for name in ("vae", "unet")
    }
    files = {*other._loaded.checkpoint.files()}
    assert home / "other-vae" / "model.safetensors" in files
    assert home / "sd" / "vae" / "model.safetensors" not in files


def test_description_of_what_is_added() -> None:
    """It names LoRAs, textual inversions and offloading, too."""
    config = PipelineConfig(
        Path("sd"),
        loras=(Lora(Path("/l/ink.safetensors"), 0.8),),
        embeddings=(TextualInversion(Path("/e/toy.safetensors"), "<toy>"),),
        offload="model",
    )
    assert [*config.changes()] == [
        "LoRA ink.safetensors 0.8",
        "embedding <toy> from toy.safetensors",
        "offload model",
    ]


def test_single_file_with_a_base(settings: Settings) -> None:
    """Both paths start at the catalog."""
    write(
        settings,
        '[models.xl]\nsource = "diffusers"\npath = "a/xl.safetensors"\nbase = "../base"\n',
    )
    pipeline = factory.read_catalog(settings).checkpoints["xl"].pipeline
    assert pipeline.path == settings.data_dir() / "a/xl.safetensors"
    assert pipeline.base == settings.data_dir() / "../base"
    assert "xl.safetensors does not exist; it must be" in refusal(settings)
    table = f'repo = "maker/sd"\nrevision = "{"0" * 40}"\nbase = "b"\n'
    write(settings, f'[models.xl]\nsource = "diffusers"\n{table}')
    assert "models.xl: base is given without path" in refusal(settings)


@pytest.mark.parametrize("executor", ["compile", "cuda-graphs"])
def test_keys_of_a_cuda_device(settings: Settings, executor: str) -> None:
    """Keys for CUDA devices are accepted with one, and reach the model."""
    checkpoint(settings.data_dir() / "sd")
    table = f'executor = "{executor}"\ndevice = "cuda:1"\ntf32 = true\ndtype = "float32"\n'
    write(settings, f'[models.sd]\nsource = "diffusers"\npath = "sd"\n{table}')
    (model,) = served(settings)
    assert (model._loaded.config.executor, model._loaded.config.tf32) == (executor, True)


def test_defaults_are_the_familys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only source and path are required; the defaults are those of the stock pipeline."""
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    folder = checkpoint(settings.data_dir() / "elsewhere" / "sd-1.5")
    for second, weights in enumerate(sorted(folder.glob("*/*.safetensors"))):
        os.utime(weights, (1_700_000_000 + second,) * 2)
    write(settings, f'[models.sd]\nsource = "diffusers"\npath = "{folder}"\n')
    (summary,) = factory.summarize_catalog(settings)
    info = summary.info
    assert (info.id, info.name, info.weights_sha256) == ("sd", "sd-1.5", "")
    assert info.created == 1_700_000_000 + second  # its newest file
    (model,) = served(settings)
    assert (model.steps, model.guidance) == (50, 7.5)
    assert (model._loaded.config.dtype, model._loaded.device) == ("float32", "cpu")
    assert isinstance(model, EvictableModel) and model.preload
    assert model.num_bytes > 0 and model.free_bytes() > 0
    assert (model._loaded.config.executor, model.info.batching) == ("auto", "exact")


def test_every_option_is_part_of_the_info(settings: Settings) -> None:
    """The info differs with each option that decides an image, so no stored image is found."""
    checkpoint(settings.data_dir() / "sd")
    infos = []
    for keys in ("", "steps = 3\n", "guidance = 2.0\n", 'executor = "eager"\n'):
        write(settings, f'[models.sd]\nsource = "diffusers"\npath = "sd"\n{keys}')
        infos.append(served(settings)[0].info)
    assert all(infos.count(info) == 1 for info in infos)


def test_idle_time(settings: Settings) -> None:
    """The catalog's idle time overrides the setting's."""
    checkpoint(settings.data_dir() / "sd")
    for keys, expected in {
        "": 60.0,
        "idle_unload_s = 5\n": 5.0,
        "idle_unload_s = 0\n": 0.0,
    }.items():
        write(settings, f'[models.sd]\nsource = "diffusers"\npath = "sd"\n{keys}')
        (model,) = served(replace(settings, idle_unload_s=60.0))
        assert model.idle_unload_s == expected
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\nidle_unload_s = -1\n')
    assert "idle_unload_s is -1; it must be a number from 0 to 604800" in refusal(settings)


@pytest.mark.parametrize(
    ("keys", "num_threads", "expected"),
    [("", 2, 1), ("", 4, DEFAULT_MAX_BATCH_SIZE), ('device = "cuda"', 2, DEFAULT_MAX_BATCH_SIZE)],
)
def test_no_batching_on_few_cores(
    settings: Settings, keys: str, num_threads: int, expected: int
) -> None:
    """On few cores there is no batching, unless the catalog asks for it."""
    checkpoint(settings.data_dir() / "sd")
    table = f'[models.sd]\nsource = "diffusers"\npath = "sd"\n{keys}\n'
    settings = replace(settings, threads_per_worker=num_threads)
    assert served(write(settings, table))[0].max_batch_size == {"unet": expected}
    assert served(write(settings, table + "max_batch_size = 6"))[0].max_batch_size == {"unet": 6}


def test_ids_share_a_checkpoint(settings: Settings) -> None:
    """Two ids that differ only in steps and sampler share a checkpoint; with another dtype,
    executor, quantization or calibration they do not."""
    checkpoint(settings.data_dir() / "sd")
    table = '[models.{}]\nsource = "diffusers"\npath = "sd"\n{}\n'
    write(
        settings,
        table.format("slow", "steps = 50")
        + table.format("fast", "steps = 8\nsampler = { class = 'DDIMScheduler' }")
        + table.format("half", 'dtype = "bfloat16"')
        + table.format("eager", 'executor = "eager"')
        + table.format("cuda", 'device = "cuda"')
        + table.format("tf32", 'device = "cuda"\ntf32 = true\ndtype = "float32"')
        + table.format("small", 'quantization = "int8-weight-only"')
        + table.format("calibrated", 'quantization = "int8"\nsteps = 50')
        + table.format("recalibrated", 'quantization = "int8"\nsteps = 8'),
    )
    slow, fast, *others = served(settings)
    assert slow._loaded is fast._loaded
    assert len({id(model._loaded) for model in (slow, *others)}) == 8
    assert others[-1]._loaded.config.quantization == "int8"
    assert (slow.steps, fast.steps) == (50, 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "names no model"),
        ("models = 3", "names no model"),
        ("[models", "is not TOML"),
        pytest.param("models = " + "[" * 100_000, "is nested too deeply", id="nested"),
        ("[model.x]", "unknown key 'model'; did you mean 'models'?"),
        ("models.x = 3", "models.x is 3; it must be a table"),
        ("[models.x]", "source is missing; it must be one of embedded, diffusers"),
        ('[models.x]\nsource = "hub"', "source is 'hub'; it must be one of embedded, diffusers"),
        ("[models.x]\nsource = []", "source is []; it must be one of"),
        ('[models."a b"]\nsource = "embedded"', "a model ID must be 1 to 200 printable characters"),
        ('[models.""]\nsource = "embedded"', "a model ID must be 1 to 200 printable characters"),
        ('[models.x]\nsource = "embedded"\nsteps = 3', "unknown key 'steps'; allowed: source"),
        (
            '[models.x]\nsource = "diffusers"',
            "neither path nor repo is given; give one: path, the path of a directory",
        ),
        (
            '[models.x]\nsource = "diffusers"\npath = "x"\nrepo = "a/b"',
            "both path and repo are given; give one: path",
        ),
        ('[models.x]\nsource = "diffusers"\nrepo = "a"', 'such as "owner/name"'),
        ('[models.x]\nsource = "diffusers"\nrepo = "../a"', 'such as "owner/name"'),
        (
            '[models.x]\nsource = "diffusers"\nrepo = "a/b"\nrevision = "main"',
            "revision is 'main'; it must be the 40 hexadecimal digits of a commit",
        ),
        (
            '[models.x]\nsource = "diffusers"\nrepo = "a/b"',
            "give both repo and revision; revision must be the 40 hexadecimal digits",
        ),
        (
            '[models.x]\nsource = "diffusers"\npath = "~nobody-of-this-name/x"',
            "path is '~nobody-of-this-name/x'; it must be the path of a directory",
        ),
        ('[models.x]\nsource = "diffusers"\npath = 3', "path is 3; it must be the path"),
        (
            '[models.x]\nsource = "diffusers"\nstep = 3',
            "unknown key 'step'; did you mean 'steps'?",
        ),
        ('[models.x]\nsource = "diffusers"\nsteps = 0', "steps is 0; it must be an integer"),
        ('[models.x]\nsource = "diffusers"\nsteps = true', "steps is True; it must be an integer"),
        ('[models.x]\nsource = "diffusers"\nguidance = -1', "it must be a number from 0 to 100"),
        ('[models.x]\nsource = "diffusers"\nguidance = nan', "it must be a number from 0 to 100"),
        (
            '[models.x]\nsource = "diffusers"\nexecutor = "onnx"',
            "it must be one of auto, eager, openvino, compile, cuda-graphs",
        ),
        (
            '[models.x]\nsource = "diffusers"\npath = "x"\nexecutor = "cuda-graphs"\n'
            'device = "cpu"',
            "executor is 'cuda-graphs', which needs device 'cuda'; it is 'cpu'",
        ),
        (
            '[models.x]\nsource = "diffusers"\npath = "x"\nexecutor = "openvino"\n'
            'device = "cuda:1"',
            "executor is 'openvino', which needs device 'cpu'; it is 'cuda:1'",
        ),
        ('[models.x]\nsource = "diffusers"\npath = "x"\ntf32 = 1', "tf32 is 1; it must be true"),
        (
            '[models.x]\nsource = "diffusers"\npath = "x"\ntf32 = true\ndevice = "cpu"',
            "tf32 is true, which needs a CUDA device and dtype 'float32'; device is 'cpu', dtype",
        ),
        (
            '[models.x]\nsource = "diffusers"\npath = "x"\ntf32 = true\ndevice = "cuda"\n'
            'dtype = "bfloat16"',
            "device is 'cuda', dtype is 'bfloat16'",
        ),
        ('[models.x]\nsource = "diffusers"\nbatching = 1', "must be one of exact, throughput"),
        (
            '[models.x]\nsource = "diffusers"\ndtype = "half"',
            "dtype is 'half'; it must be one of auto, float32, float16, bfloat16",
        ),
        ('[models.x]\nsource = "diffusers"\ndevice = "tpu"', "device is 'tpu'; it must be"),
        ('[models.x]\nsource = "diffusers"\ndevice = "cpu:0"', "device is 'cpu:0'; it must be"),
        ('[models.x]\nsource = "diffusers"\ncache = "first-block"', "must be a table, such as {"),
        ("cache = {}", "cache: method is missing; it must be one of first-block, taylorseer"),
        ("cache = { method = 3 }", "cache: method is 3; it must be one of first-block, taylorseer"),
        ('cache = { method = "magcache" }', "method is 'magcache'; it must be one of first-block"),
        (
            'cache = { method = "first-block", treshold = 0.1 }',
            "cache: unknown key 'treshold'; did you mean 'threshold'?",
        ),
        (
            'cache = { method = "first-block", max_order = 1 }',
            "cache: unknown key 'max_order'; allowed: method, threshold",
        ),
        (
            'cache = { method = "first-block", threshold = 0 }',
            "cache: threshold is 0; it must be a number from 0.001 to 1",
        ),
        (
            'cache = { method = "taylorseer", cache_interval = 1 }',
            "cache: cache_interval is 1; it must be an integer from 2 to 100",
        ),
        (
            'cache = { method = "taylorseer" }\nexecutor = "openvino"',
            "executor is 'openvino'; with cache it must be 'auto' or 'eager'",
        ),
        (
            'cache = { method = "taylorseer" }\nmax_batch_size = 2',
            "max_batch_size is 2; with cache it must be 1",
        ),
        (
            'cache = { method = "taylorseer" }\nbatching = "throughput"',
            "batching is 'throughput'; with cache it must be 'exact'",
        ),
        (
            '[models.x]\nsource = "diffusers"\nquantization = "int4"',
            "it must be one of int8, int8-weight-only, int8-dynamic, float8-weight-only",
        ),
        (
            'quantization = "int8-dynamic"\nexecutor = "openvino"',
            "executor is 'openvino'; with quantization it must be 'auto' or 'eager'",
        ),
        *(
            (
                f'quantization = "int8"\n{key} = "{value}"',
                f"{key} is {value!r}; with quantization 'int8' it must be {rule};"
                " use 'int8-weight-only' or 'int8-dynamic', or remove the key",
            )
            for key, value, rule in (
                ("device", "cuda:0", "'auto' or 'cpu'"),
                ("executor", "eager", "'auto' or 'openvino'"),
                ("executor", "compile", "'auto' or 'openvino'"),
            )
        ),
        (
            'quantization = "int8"\ncache = { method = "taylorseer" }',
            "quantization is 'int8', which excludes a cache",
        ),
        (
            'offload = "disk"',
            "offload is 'disk'; it must be one of model, group",
        ),
        (
            'offload = "model"\ndevice = "cpu"',
            "offload is 'model', which needs a CUDA device; device is 'cpu', whose memory holds",
        ),
        (
            'offload = "model"\nexecutor = "compile"',
            "executor is 'compile'; with offload it must be 'auto' or 'eager'",
        ),
        (
            'offload = "group"\nquantization = "int8-dynamic"',
            "quantization and offload are both given; they exclude each other",
        ),
        (
            'quantization = "float8-dynamic"',
            "device is missing; with quantization 'float8-dynamic' it must be 'cuda'",
        ),
        (
            'quantization = "float8-dynamic"\ndevice = "cuda:1"\ndtype = "float32"',
            "dtype is 'float32'; with quantization 'float8-dynamic' it must be 'bfloat16'",
        ),
        (
            '[models.x]\nsource = "diffusers"\nvae = 3',
            "vae is 3; it must be the path of the component's directory in diffusers format, or",
        ),
        (
            '[models.x]\nsource = "diffusers"\nclip_skip = 0',
            "clip_skip is 0; it must be an integer from 1 to 32",
        ),
        ('[models.x]\nsource = "diffusers"\nsampler = "DDIM"', "sampler is 'DDIM'; it must be a"),
        ("sampler = { use_karras_sigmas = true }", "sampler: class is missing; it must be one of"),
        ('sampler = { class = "Euler" }', "sampler: class is 'Euler'; it must be one of DDIM"),
        (
            'sampler = { class = "DPMSolverSDEScheduler" }',
            "sampler: the noise of DPMSolverSDEScheduler does not depend on the request's seed",
        ),
        *(
            (f'[models.x]\nsource = "diffusers"\nextra_sizes = {sizes}', "of 64 from 256 to 2048,")
            for sizes in (
                '"512x512"',
                "[]",
                "[512]",
                '["512"]',
                '["512x520"]',
                '["192x512"]',
                '["512x2112"]',
                '["1024x1024"]',
                '["512x512", "512x512"]',
            )
        ),
        *(
            (
                f'[models.x]\nsource = "diffusers"\nnative_size = {size}',
                f"native_size is {shown}; it must be 0, or an integer from 256 to 2048",
            )
            for size, shown in (
                ("255", "255"),
                ("2049", "2049"),
                ("-1", "-1"),
                ("512.0", "512.0"),
                ("false", "False"),
                ('"512x512"', "'512x512'"),
            )
        ),
        *(
            (f'[models.x]\nsource = "diffusers"\nloras = {loras}', "list of 1 to 16 tables such")
            for loras in ('"a.safetensors"', "[]", '["a.safetensors"]', "[{}, 1]")
        ),
        (
            "loras = [{ scale = 1 }]",
            "loras[0]: path is missing; it must be the path of a .safetens",
        ),
        (
            'loras = [{ path = "a" }, { path = "~unknown/x" }]',
            "loras[1]: path is '~unknown/x'; it must be the path of a .safetensors file",
        ),
        *(
            (
                f'loras = [{{ path = "a", scale = {scale} }}]',
                f"loras[0]: scale is {value}; it must be a number from -10 to 10",
            )
            for scale, value in (("11", "11"), ("nan", "nan"), ('"1"', "'1'"), ("true", "True"))
        ),
        ('loras = [{ path = "a", weight = 1 }]', "loras[0]: unknown key 'weight'"),
        *(
            (f'[models.x]\nsource = "diffusers"\nembeddings = {value}', "list of 1 to 64 tables")
            for value in ('"a.safetensors"', "[]", '["a.safetensors"]')
        ),
        ('embeddings = [{ token = "<x>" }]', "embeddings[0]: path is missing; it must be"),
        ('embeddings = [{ path = "a" }]', "embeddings[0]: token is missing; it must be 1 to 100 A"),
        *(
            (f'embeddings = [{{ path = "a", token = "{token}" }}]', "ASCII characters without spac")
            for token in ("", "a b", "é", "x" * 101)
        ),
        (
            'embeddings = [{ path = "a", token = "toy" }, { path = "b", token = "<Toy>" }]',
            "the token 'toy' of embeddings is part of '<Toy>'; change one of them",
        ),
        (
            'embeddings = [{ path = "a", token = "<t>" }, { path = "b", token = "<T>" }]',
            "the token '<t>' of embeddings equals '<T>' up to its case; change one of them",
        ),
        ('[models.x]\nsource = "diffusers"\nload = "never"', "must be one of startup, on_demand"),
        (
            '[models.x]\nsource = "diffusers"\nmax_batch_size = 1e9',
            "max_batch_size is 1000000000.0; it must",
        ),
    ],
)
def test_error_message(settings: Settings, text: str, expected: str) -> None:
    """An error is one line with the file, the table, the value and what is allowed."""
    keys = ("cache", "quantization", "offload", "loras = ", "embeddings = ", "sampler")
    if text.startswith(keys):
        text = f'[models.x]\nsource = "diffusers"\npath = "x"\n{text}'
    message = refusal(write(settings, text))
    assert expected in message and str(settings.data_dir() / catalog.FILE_NAME) in message


def test_file_of_a_windows_editor(settings: Settings) -> None:
    """A byte order mark and carriage returns are allowed; UTF-16 is named."""
    text = '\ufeff[models."a"]\r\nsource = "embedded"\r\n'
    write(settings, text)
    assert list(factory.read_catalog(settings).models) == ["a"]
    (settings.data_dir() / catalog.FILE_NAME).write_bytes(text.encode("utf-16"))
    assert "is not UTF-8 from byte 0; save it as UTF-8" in refusal(settings)


def test_missing_file(tmp_path: Path) -> None:
    """A catalog that the settings name must exist."""
    message = refusal(Settings(home=tmp_path, catalog=tmp_path / "other.toml"))
    assert "other.toml: No such file" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_class_name": "StableVideoDiffusionPipeline"}, "supported: StableDiffusionPipeline"),
        ({"_class_name": ["my_pipeline", "MyPipeline"]}, "the pipeline is ['my_pipeline'"),
        ({"unet": ["my_unet", "MyUNet"]}, "code from a checkpoint is never run"),
        ({"text_encoder": ["os", "system"]}, "text_encoder is from 'os'"),
        ({"tokenizer": ["transformers"]}, "it must be [library, class]"),
        ({"tokenizer": [None, None]}, "has no tokenizer, which StableDiffusionPipeline needs"),
        ({"scheduler": [None, None]}, "has no scheduler"),
        ({"text_encoder": [None, None]}, "has no text_encoder"),
        (
            {
                "_class_name": "StableDiffusionXLPipeline",
                "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            },
            "has no tokenizer_2, which StableDiffusionXLPipeline needs",
        ),
        ({"vae": ["diffusers", "AutoencoderTiny"]}, "it must be 'AutoencoderKL'"),
        ({"unet": [None, None]}, "unet is None; it must be 'UNet2DConditionModel'"),
        ({"../up": ["diffusers", "AutoencoderKL"]}, "names '../up', but the folder does not exist"),
    ],
)
def test_unsupported_checkpoint(
    settings: Settings, changes: dict[str, object], expected: str
) -> None:
    """Code, an unsupported pipeline or an unsupported component is an error before loading."""
    folder = checkpoint(settings.data_dir() / "sd", **changes)
    write(settings, f'[models.sd]\nsource = "diffusers"\npath = "{folder}"\n')
    assert expected in refusal(settings)


def test_directory_without_an_index(settings: Settings, tmp_path: Path) -> None:
    """A missing or malformed index is an error that names the file."""
    write(settings, f'[models.sd]\nsource = "diffusers"\npath = "{tmp_path}"\n')
    assert "has no model_index.json" in refusal(settings)
    for text, expected in (("{", "is not JSON"), ("[]", "must hold a JSON object")):
        (tmp_path / "model_index.json").write_text(text)
        assert expected in refusal(settings)


def test_weights_must_be_safetensors(settings: Settings) -> None:
    """Pickled weights are an error."""
    folder = checkpoint(settings.data_dir() / "sd")
    weights = folder / "unet" / "model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\n')
    assert "unet has model.bin, a pickle, which can run code" in refusal(settings)


def test_weights_of_a_variant(settings: Settings) -> None:
    """Variant weights count only where there are no plain ones."""
    folder = checkpoint(settings.data_dir() / "sd")
    read = checkpoints.read(folder)
    before = read.sha256()
    variant = folder / "unet" / "model.fp16.safetensors"
    variant.write_bytes(b"half")
    assert read.sha256() == before and variant not in read.weights
    (folder / "unet" / "model.safetensors").unlink()
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\n')
    assert "model.fp16.safetensors is not a safetensors file" in refusal(settings)


def test_chat_template_counts(settings: Settings) -> None:
    """The chat template affects the image, so it is part of the digest."""
    folder = checkpoint(settings.data_dir() / "sd")
    read = checkpoints.read(folder)
    before = read.sha256()
    (folder / "tokenizer" / "chat_template.jinja").write_text("{{ messages }}")
    assert read.sha256() != before


def test_code_in_a_configuration(settings: Settings) -> None:
    """A configuration that names code of the checkpoint is an error."""
    folder = checkpoint(settings.data_dir() / "sd")
    (folder / "tokenizer" / "tokenizer_config.json").write_text('{"auto_map": {"x": "own.Own"}}')
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\n')
    message = refusal(settings)
    assert "tokenizer_config.json" in message and "code from a checkpoint is never run" in message


def test_adapter_in_a_component(settings: Settings) -> None:
    """transformers adds it to the weights, or loads the checkpoint that it names instead."""
    folder = checkpoint(settings.data_dir() / "sd")
    (folder / "text_encoder" / "adapter_config.json").write_text("{}")
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\n')
    message = refusal(settings)
    assert "adapter_config.json is of an adapter" in message and "in the key loras" in message


def test_pipeline_options_are_not_components(settings: Settings) -> None:
    """Lists of numbers in the index are not components."""
    folder = checkpoint(settings.data_dir() / "sd", layers=[2, 5])
    assert "layers" not in checkpoints.read(folder).components


def flux(folder: Path, **parts: object) -> None:
    checkpoint(
        folder,
        _class_name="FluxPipeline",
        unet=[None, None],
        transformer=["diffusers", "FluxTransformer2DModel"],
        text_encoder_2=["transformers", "T5EncoderModel"],
        tokenizer_2=["transformers", "T5Tokenizer"],
        **parts,
    )


def test_cache_reaches_the_model(settings: Settings) -> None:
    """A step cache reaches the model, is part of the shared configuration and disables batching; an
    error for an unsupported pipeline lists the supported methods."""
    flux(settings.data_dir() / "flux")
    table = '[models.{}]\nsource = "diffusers"\npath = "flux"\ndevice = "cuda"\n{}\n'
    cached = 'cache = { method = "first-block", threshold = 0.25 }'
    text = table.format("plain", "") + table.format("a", cached) + table.format("b", cached)
    plain, a, b = served(write(settings, text))
    assert (plain._loaded.config.cache, plain.max_batch_size) == (
        None,
        {"transformer": DEFAULT_MAX_BATCH_SIZE},
    )
    assert a._loaded.config.cache == Cache("first-block", (("threshold", 0.25),))
    assert a._loaded is b._loaded is not plain._loaded
    assert a.max_batch_size == {"transformer": 1}
    assert a.info.description.endswith("flux, cache first-block threshold=0.25")

    checkpoint(settings.data_dir() / "sd")
    write(settings, f'[models.sd]\nsource = "diffusers"\npath = "sd"\n{cached}\n')
    message = refusal(settings)
    assert (
        "cache.method is 'first-block', which StableDiffusionPipeline does not support" in message
    )


@pytest.mark.parametrize(
    ("steps", "cache", "expected"),
    [
        (4, 'method = "taylorseer"', ""),
        (4, 'method = "taylorseer", cache_interval = 4', ""),
        (8, 'method = "taylorseer-lite", disable_cache_before_step = 7', ""),
        (8, 'method = "taylorseer", disable_cache_after_step = 4', ""),
        (5, 'method = "taylorseer", max_order = 2', ""),
        (
            1,
            'method = "first-block"',
            "'first-block', but a single step has no earlier work to reuse",
        ),
        (
            3,
            'method = "taylorseer"',
            "cache: disable_cache_before_step is 3 (the default); with 3 steps it must be an"
            " integer from 1 to 2",
        ),
        (
            8,
            'method = "taylorseer", disable_cache_before_step = 8',
            "disable_cache_before_step is 8; with 8 steps it must be an integer from 1 to 7",
        ),
        (
            8,
            'method = "taylorseer", disable_cache_after_step = 3',
            "disable_cache_after_step is 3; with 8 steps and disable_cache_before_step = 3 it must"
            " be an integer from 4 to 7",
        ),
        (8, 'method = "taylorseer", disable_cache_after_step = 8', "an integer from 4 to 7"),
        (
            4,
            'method = "taylorseer-lite", disable_cache_after_step = 4',
            "and disable_cache_before_step = 3 no value has an effect; remove it",
        ),
        (
            8,
            'method = "taylorseer-lite", cache_interval = 9',
            "cache_interval is 9; with 8 steps it must be an integer from 2 to 8",
        ),
        (
            5,
            'method = "taylorseer", max_order = 3, disable_cache_before_step = 2',
            "max_order is 3; with 5 steps, 3 of them before the last predicted step, it must be an"
            " integer from 1 to 2",
        ),
    ],
)
def test_cache_without_effect(settings: Settings, steps: int, cache: str, expected: str) -> None:
    """An option without effect in the given steps is an error; one with effect is accepted."""
    flux(settings.data_dir() / "flux")
    table = f'path = "flux"\nsteps = {steps}\ncache = {{ {cache} }}'
    write(settings, f'[models.x]\nsource = "diffusers"\n{table}\n')
    if not expected:
        assert len(served(settings)) == 1
        return
    message = refusal(settings)
    assert expected in message and message.startswith("model 'x', cache: ")


def test_cache_counts_evaluations(settings: Settings) -> None:
    """Samplers with two calls per step have more evaluations; the default steps are the
    family's."""
    schedulers = ("FlowMatchHeunDiscreteScheduler", "FlowMatchEulerDiscreteScheduler")
    for scheduler, steps, largest in zip(schedulers, (4, 9), (6, 8), strict=True):
        folder = settings.data_dir() / scheduler
        flux(folder, scheduler=["diffusers", scheduler])
        for value, is_served in ((largest, True), (largest + 1, False)):
            steps_key = "" if steps == 4 else f"steps = {steps}"
            cache = f'cache = {{ method = "taylorseer", disable_cache_before_step = {value} }}'
            table = (
                f'[models.x]\nsource = "diffusers"\npath = "{scheduler}"\n{steps_key}\n{cache}\n'
            )
            write(settings, table)
            if is_served:
                assert len(served(settings)) == 1
            else:
                assert f"it must be an integer from 1 to {largest}" in refusal(settings)


def test_catalog_of_the_guide(settings: Settings) -> None:
    """The guide's example is valid, up to its path, which does not exist here."""
    text = GUIDE.read_text(encoding="utf-8")
    message = refusal(write(settings, text.split("```toml")[1].split("```")[0]))
    assert message.startswith("/models/dreamy-xl.safetensors does not exist")


def test_missing_extra(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an extra is missing, the error names what to install."""
    checkpoint(settings.data_dir() / "sd")
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\n')
    monkeypatch.setattr(catalog, "_EXTRA", ("json", "no_such_library"))
    assert len(factory.summarize_catalog(settings)) == 1
    with pytest.raises(SettingsError) as caught:
        factory.read_catalog(settings).check_loadable()
    assert "no_such_library, which cannot be imported" in caught.value.message
    assert "pip install 'daguerre[diffusers]'" in caught.value.message

    monkeypatch.setattr(catalog, "_EXTRA", ("json",))
    monkeypatch.setattr(quantization, "LIBRARY", "no_such_library")
    factory.read_catalog(settings).check_loadable()
    write(
        settings,
        '[models.sd]\nsource = "diffusers"\npath = "sd"\nquantization = "int8-dynamic"\n',
    )
    with pytest.raises(SettingsError) as caught:
        factory.read_catalog(settings).check_loadable()
    assert "with quantization need no_such_library, which" in caught.value.message
    assert "pip install 'daguerre[diffusers,quantization]'" in caught.value.message

    monkeypatch.setattr(quantization, "CALIBRATION_LIBRARY", "no_such_nncf")
    write(settings, '[models.sd]\nsource = "diffusers"\npath = "sd"\nquantization = "int8"\n')
    with pytest.raises(SettingsError, match="with quantization need no_such_nncf, which"):
        factory.read_catalog(settings).check_loadable()


@pytest.mark.parametrize(
    ("device", "worker", "expected"),
    [("cuda", 0, "cuda:0"), ("cuda", 1, "cuda:1"), ("cuda", 3, "cuda:0"), ("cuda:1", 0, "cuda:1")]
    + [("cuda:1", 2, "cuda:1"), ("cpu", 2, "cpu")],
)
def test_workers_share_the_devices(
    device: str, worker: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "cuda" gives each worker its own device; "cuda:1" is the same for all."""
    cuda = SimpleNamespace(device_count=lambda: 3)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert devices.resolve(device, "auto", worker) == expected
