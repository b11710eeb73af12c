"""Prompts that are longer than the limit of CLIP's text encoders, 77 tokens.

Their tokens are split into chunks of 75. Each chunk gets a start and an end token and is encoded
alone. The denoiser reads the hidden states of all chunks in a row, and the pooled output of the
first. The stock pipeline runs unmodified; its tokenizers and text encoders are replaced. Shapes:
L tokens of a chunk, N chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import torch

from daguerre.models.diffusers.call_packing import tree_flatten, tree_unflatten
from daguerre.models.diffusers.family import NUM_SPECIAL_TOKENS, Family, text_encoder_of

# Stable Diffusion reads the last hidden state, SDXL the one before, and each with `clip_skip` one
# further from the end. The others would fill memory.
_NUM_HIDDEN_STATES = 2


def split_prompts(pipeline: Any, family: Family, texts: Iterable[str], clip_skip: int = 0) -> None:
    """Makes a copy of a pipeline read all chunks of these texts, if one has more than one chunk.

    A shorter text gets empty chunks, because the denoiser reads the prompt and the negative prompt
    in one call.
    """
    counts = [family.prompt_tokens(pipeline, text, False) for text in texts]
    num_chunks = max(_num_chunks(*count) for count in counts)
    if num_chunks == 1:
        return
    for name, _ in family.prompt_tokenizers:
        if tokenizer := getattr(pipeline, name, None):
            setattr(pipeline, name, _ChunkTokenizer(tokenizer, num_chunks))
            encoder, length = text_encoder_of(name), tokenizer.model_max_length
            num_states = _NUM_HIDDEN_STATES + clip_skip
            chunk_encoder = _ChunkEncoder(getattr(pipeline, encoder), length, num_states)
            setattr(pipeline, encoder, chunk_encoder)


def _num_chunks(num_tokens: int, limit: int) -> int:
    """A power of two, so that the denoiser is compiled for few shapes."""
    needed = -(-(num_tokens - NUM_SPECIAL_TOKENS) // (limit - NUM_SPECIAL_TOKENS))
    return 1 << max(0, needed - 1).bit_length()


class _ChunkTokenizer:
    """A tokenizer that encodes any text as `num_chunks` padded chunks in a row, (1, N * L)."""

    def __init__(self, tokenizer: Any, num_chunks: int) -> None:
        self._tokenizer, self._num_chunks = tokenizer, num_chunks
        self._length = tokenizer.model_max_length
        self.model_max_length = num_chunks * self._length

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str | list[str], **_: Any) -> SimpleNamespace:
        """Ignores how the pipeline wants the text padded and truncated."""
        (text,) = [text] if isinstance(text, str) else text
        start, *tokens, end = self._tokenizer(text).input_ids
        size = self._length - NUM_SPECIAL_TOKENS
        chunks = [tokens[size * number : size * (number + 1)] for number in range(self._num_chunks)]
        padded = self._tokenizer.pad(
            {"input_ids": [[start, *chunk, end] for chunk in chunks]},
            padding="max_length",
            max_length=self._length,
            return_tensors="pt",
        )
        return SimpleNamespace(**{name: value.reshape(1, -1) for name, value in padded.items()})


class _ChunkEncoder:
    """A text encoder that encodes each chunk of `length` tokens in a call of its own.

    Its result has the last `num_hidden_states` only.
    """

    def __init__(self, encoder: Any, length: int, num_hidden_states: int) -> None:
        self._encoder, self._length = encoder, length
        self._num_hidden_states = num_hidden_states

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def __call__(self, input_ids: torch.Tensor, **options: Any) -> Any:
        """The encoder's result for (1, N * L) tokens."""
        split = zip(*map(self._chunks, (input_ids, *options.values())), strict=False)
        results = [
            self._encode(ids, dict(zip(options, values, strict=True))) for ids, *values in split
        ]
        return _join(results)

    def _chunks(self, value: Any) -> Iterator[Any]:
        is_tensor = isinstance(value, torch.Tensor)
        return iter(value.split(self._length, dim=1)) if is_tensor else repeat(value)

    def _encode(self, input_ids: torch.Tensor, options: dict[str, Any]) -> Any:
        result = self._encoder(input_ids, **options)
        if result.hidden_states is not None:
            result.hidden_states = result.hidden_states[-self._num_hidden_states :]
        return result


def _join(results: list[Any]) -> Any:
    """Hidden states (1, L, *) of all results in a row, and the other tensors of the first."""
    structures, tensors = zip(*map(tree_flatten, results), strict=True)
    joined = {
        str(number): torch.cat(parts, dim=1) if parts[0].ndim == 3 else parts[0]
        for number, parts in enumerate(zip(*tensors, strict=True))
    }
    return tree_unflatten(structures[0], joined)
