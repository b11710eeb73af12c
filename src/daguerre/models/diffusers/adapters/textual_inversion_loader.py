"""Adds textual inversions to a pipeline, with diffusers' own loader; imports torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from safetensors.torch import load_file

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.adapters.textual_inversion_header import find_vectors

# In old configurations. CLIP then takes the token with the largest number for the end of a text,
# and an added token has a larger one.
_WRONG_END = 2


def load(pipeline: Any, embeddings: Sequence[TextualInversion], encoders: Sequence[str]) -> None:
    """Adds the tokens and their vectors. Raises `SettingsError` for a token that exists."""
    vectors = [_read(embedding, encoders) for embedding in embeddings]
    tokens = [embedding.token for embedding in embeddings]
    for name in encoders:
        tokenizer = getattr(pipeline, name.replace("text_encoder", "tokenizer"))
        encoder = getattr(pipeline, name)
        _check_new(tokens, tokenizer)
        pipeline.load_textual_inversion(
            [one[name] for one in vectors],
            token=tokens,
            tokenizer=tokenizer,
            text_encoder=encoder,
        )
        for module in encoder.modules():
            if getattr(module, "eos_token_id", None) == _WRONG_END:
                module.eos_token_id = tokenizer.eos_token_id
    _ignore_case(pipeline, tokens)


def _read(embedding: TextualInversion, encoders: Sequence[str]) -> dict[str, Any]:
    """Text encoder -> vectors."""
    tensors = load_file(embedding.path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = find_vectors(embedding.path, shapes, encoders)
    found = {encoder: tensors[name].float() for encoder, name in names.items()}
    if not all(one.isfinite().all() for one in found.values()):
        raise SettingsError(f"{embedding.path} has values that are not finite; download it again")
    return found


def _check_new(tokens: Sequence[str], tokenizer: Any) -> None:
    """Words of the vocabulary end in `</w>`; the further vectors of a token have numbers."""
    vocabulary = tokenizer.get_vocab()
    for token in tokens:
        if taken := {token, f"{token}</w>", f"{token}_1"} & vocabulary.keys():
            raise SettingsError(
                f"the tokenizer has the token {min(taken)!r} of embeddings already; change it to"
                f" another one, such as {f'<{token}>'!r}"
            )


def _ignore_case(pipeline: Any, tokens: Sequence[str]) -> None:
    """Makes the pipeline find the tokens in any case, as its tokenizers do. It would otherwise read
    only the first vector of a token with capitals."""
    convert = pipeline.maybe_convert_prompt
    written = re.compile("|".join(map(re.escape, tokens)), re.IGNORECASE)

    def convert_any_case(prompt: str | list[str], tokenizer: Any) -> Any:
        if isinstance(prompt, list):
            return [convert_any_case(one, tokenizer) for one in prompt]
        return convert(written.sub(lambda match: match[0].lower(), prompt), tokenizer)

    pipeline.maybe_convert_prompt = convert_any_case
