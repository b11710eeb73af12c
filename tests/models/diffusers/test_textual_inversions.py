"""Textual inversions: the images of diffusers with the same files, and tokens in any case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig

from .conftest import REASON, Bench, Request, pipeline_images

pytest.importorskip("torch", reason=REASON)

import diffusers
import torch
from safetensors.torch import save_file

from . import tiny

TOKEN = "<toy>"
REQUESTS = [
    Request("a red <toy> in the snow", seed=1),
    Request("blue ship", seed=2, steps=3, negative_prompt="<toy>, cat"),
]


def vectors(num: int, seed: int = 0) -> Any:
    return torch.randn((num, 32), generator=torch.Generator().manual_seed(seed)) / 2


def write(file: Path, **tensors: Any) -> TextualInversion:
    save_file(tensors, file)
    return TextualInversion(file, TOKEN)


def stock(folder: Path, *, token: str = TOKEN, **tensors: Any) -> Any:
    """The stock pipeline with vectors for each of its text encoders."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    for name, tensor in tensors.items():
        pipeline.load_textual_inversion(
            tensor,
            token=token,
            text_encoder=getattr(pipeline, name),
            tokenizer=getattr(pipeline, name.replace("text_encoder", "tokenizer")),
        )
    return pipeline


def test_images_are_those_of_diffusers(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """In the layout of A1111, with one vector; the other layouts are in `test_forms`."""
    folder, made = folder_of("stable-diffusion"), vectors(1)
    embedding = write(tmp_path / "x.safetensors", **{TOKEN: made})
    bench = Bench(folder, embeddings=(embedding,))
    images = bench.images(REQUESTS)
    assert images == pipeline_images(stock(folder, text_encoder=made), bench, REQUESTS)
    plain = [Request(one.prompt.replace(TOKEN, "toy"), seed=one.seed) for one in REQUESTS[:1]]
    assert images[0] != Bench(folder).images(plain)[0]


def test_long_prompts(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A token of several vectors counts as many tokens, in any case, in chunks too."""
    folder = folder_of("stable-diffusion")
    bench = Bench(folder, embeddings=(write(tmp_path / "x.safetensors", emb_params=vectors(3)),))
    family, pipeline = bench.model.family, bench.model._loaded.pipeline
    for text, num in (("<toy>", 3), ("<Toy> <TOY>", 6), ("a", 1)):
        assert family.prompt_tokens(pipeline, text, False)[0] == num + 2
    long = " ".join(["<toy>"] * 30)
    first, second = bench.images([Request(long), Request(long.upper())])
    assert first == second


def test_capitals(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """diffusers reads only the first of several vectors if the prompt has capitals."""
    folder, made = folder_of("stable-diffusion"), vectors(3)
    bench = Bench(folder, embeddings=(write(tmp_path / "x.safetensors", emb_params=made),))
    small, capital = bench.images([Request("a <toy>"), Request("a <TOY>")])
    assert small == capital


def test_end_of_text_in_old_configurations(tmp_path: Path) -> None:
    """SDXL reads the text encoder's output at the end token, not at the added one."""
    folder = tiny.stable_diffusion_xl(tmp_path / "xl")
    config = folder / "text_encoder_2" / "config.json"
    made = {"clip_l": vectors(1), "clip_g": vectors(1)}
    embedding = write(tmp_path / "x.safetensors", **made)
    expected = Bench(folder, embeddings=(embedding,)).images(REQUESTS)
    text = config.read_text()
    config.write_text(text.replace('"eos_token_id": 513', '"eos_token_id": 2'))
    assert config.read_text() != text
    assert Bench(folder, embeddings=(embedding,)).images(REQUESTS) == expected


@pytest.mark.parametrize("token", ["a", "<|endoftext|>", "a</w>"])
def test_token_that_exists(token: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    file = write(tmp_path / "x.safetensors", emb_params=vectors(1)).path
    message = refusal(folder_of("stable-diffusion"), TextualInversion(file, token))
    assert "of embeddings already; change it to another one" in message and token in message


def test_values_that_are_not_finite(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    embedding = write(tmp_path / "x.safetensors", emb_params=vectors(1) * torch.inf)
    message = refusal(folder_of("stable-diffusion"), embedding)
    assert f"{embedding.path} has values that are not finite" in message


def refusal(folder: Path, embedding: TextualInversion) -> str:
    with pytest.raises(SettingsError) as caught:
        LoadedCheckpoint(PipelineConfig(folder, embeddings=(embedding,))).load()
    assert "\n" not in caught.value.message
    return caught.value.message
