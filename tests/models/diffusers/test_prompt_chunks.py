"""Prompts over the limit of CLIP, against embeddings that the test joins itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.model import DiffusersModel

from .conftest import REASON, Bench, Request, stock_images

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from daguerre.models.diffusers.prompt_chunks import _ChunkTokenizer, _num_chunks  # noqa: E402

FAMILY_NAMES = ("stable-diffusion", "stable-diffusion-xl")
# The tiny tokenizers have a token for each letter.
SENTENCE = "a very (old:1.3) ship on the [green] sea, "
LONG = SENTENCE * 4  # 128 letters
LONGER = SENTENCE * 10  # 320 letters


def chunks_of(tokenizer: Any, text: str, num_chunks: int) -> list[Any]:
    """Rows of 77 tokens: the start, 75 of the text, the end, and padding."""
    words = tokenizer(text, add_special_tokens=False).input_ids
    rows = []
    for start in range(0, num_chunks * 75, 75):
        row = [tokenizer.bos_token_id, *words[start : start + 75], tokenizer.eos_token_id]
        rows.append(torch.tensor([row + [tokenizer.pad_token_id] * (77 - len(row))]))
    return rows


def embeddings(pipeline: Any, text: str, num_chunks: int, clip_skip: int = 0) -> tuple[Any, Any]:
    """The joined hidden states, and the pooled output of the first chunk if there is one."""
    if not hasattr(pipeline, "text_encoder_2"):
        encoder = pipeline.text_encoder
        rows = chunks_of(pipeline.tokenizer, text, num_chunks)
        states = [
            encoder(row, output_hidden_states=True).hidden_states[-1 - clip_skip] for row in rows
        ]
        return torch.cat([encoder.final_layer_norm(state) for state in states], dim=1), None
    parts, pooled = [], None
    for suffix in ("", "_2"):
        encoder = getattr(pipeline, f"text_encoder{suffix}")
        rows = chunks_of(getattr(pipeline, f"tokenizer{suffix}"), text, num_chunks)
        results = [encoder(row, output_hidden_states=True) for row in rows]
        parts.append(torch.cat([result.hidden_states[-2 - clip_skip] for result in results], dim=1))
        pooled = results[0][0]
    return torch.cat(parts, dim=2), pooled


def reference(
    folder: Path, model: DiffusersModel, request: Request, num_chunks: int, clip_skip: int = 0
) -> bytes:
    """The stock pipeline's image, for embeddings of the prompts. As in diffusers, `clip_skip` does
    not apply to the negative prompt."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        positive, pooled = embeddings(pipeline, request.prompt, num_chunks, clip_skip)
        negative, negative_pooled = embeddings(pipeline, request.negative_prompt, num_chunks)
    arguments = {"prompt_embeds": positive}
    if model.family.has_negative_prompt:
        arguments["negative_prompt_embeds"] = negative
    if pooled is not None:
        arguments["pooled_prompt_embeds"] = pooled
        zeros = not request.negative_prompt and pipeline.config.force_zeros_for_empty_prompt
        arguments["negative_pooled_prompt_embeds"] = negative_pooled
        if zeros:
            arguments["negative_prompt_embeds"] = torch.zeros_like(positive)
            arguments["negative_pooled_prompt_embeds"] = torch.zeros_like(pooled)
    image = pipeline(
        **arguments,
        width=request.size[0],
        height=request.size[1],
        num_inference_steps=request.steps,
        guidance_scale=model.guidance if request.guidance is None else request.guidance,
        generator=torch.Generator().manual_seed(request.seed),
    ).images[0]
    return np.asarray(image).tobytes()


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_long_prompts(family: str, folder_of: Callable[[str], Path]) -> None:
    """Prompt and negative prompt have the same number of chunks, a power of two."""
    folder = folder_of(family)
    bench = Bench(folder)
    for request, num_chunks in (
        (Request(LONG, seed=1), 2),
        (Request("a fox", seed=2, negative_prompt=LONG), 2),
        (Request(LONGER, seed=3, negative_prompt="blue"), 8),
        (Request(LONG, seed=4, guidance=1.0), 2),
    ):
        assert bench.images([request]) == [reference(folder, bench.model, request, num_chunks)]


def test_latent_consistency_model(folder_of: Callable[[str], Path]) -> None:
    """It has no negative prompt."""
    folder = folder_of("latent-consistency")
    bench, request = Bench(folder), Request(LONG)
    assert bench.images([request]) == [reference(folder, bench.model, request, 2)]
    assert bench.images([request]) != bench.images([Request(SENTENCE)])


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_one_chunk(family: str, folder_of: Callable[[str], Path]) -> None:
    """A prompt of 77 tokens is the stock pipeline's; with one more, it has another image."""
    folder = folder_of(family)
    bench = Bench(folder)
    fitting, longer = (Request("x " * number, negative_prompt="y " * 75) for number in (75, 76))
    stock = stock_images(folder, bench, [fitting, longer])
    assert stock[0] == stock[1]
    images = bench.images([fitting]) + bench.images([longer])
    assert images[0] == stock[0] != images[1]


def test_together(folder_of: Callable[[str], Path]) -> None:
    """Requests with different numbers of chunks run at the same time, each as if alone."""
    bench = Bench(folder_of("stable-diffusion-xl"))
    prompts = ("a fox", LONG, LONGER, "a ship")
    requests = [Request(prompt, seed=seed) for seed, prompt in enumerate(prompts, start=1)]
    alone = [bench.images([request])[0] for request in requests]
    assert bench.images(requests) == alone


def test_numbers_of_chunks() -> None:
    """All prompts of up to 10,000 letters share nine numbers of chunks."""
    nums = [_num_chunks(num_tokens, 77) for num_tokens in range(2, 10_003)]
    assert set(nums) == {1, 2, 4, 8, 16, 32, 64, 128, 256}
    assert all(num * 75 + 2 >= n for n, num in enumerate(nums, 2))
    assert [_num_chunks(num_tokens, 77) for num_tokens in (77, 78, 152, 153)] == [1, 2, 2, 4]


def test_tokens_of_a_chunk(folder_of: Callable[[str], Path]) -> None:
    """A text of one chunk has the tokens and the mask that the stock pipeline gives it."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder_of("stable-diffusion") / "tokenizer")
    options = {"padding": "max_length", "max_length": 77, "return_tensors": "pt"}
    for text in ("", "a red fox", "x" * 75):
        stock, ours = tokenizer([text], **options), _ChunkTokenizer(tokenizer, 1)([text])
        for name, value in stock.items():
            assert torch.equal(getattr(ours, name), value)


def test_no_limit_in_tokens() -> None:
    """Only families without chunks have a limit of tokens."""
    for family in FAMILIES.values():
        assert (family.max_prompt_tokens() is None) is family.has_prompt_chunks
    sd_3 = FAMILIES["StableDiffusion3Pipeline"]
    assert (sd_3.max_prompt_tokens(), sd_3.max_prompt_tokens({"tokenizer_3"})) == (256, 77)
