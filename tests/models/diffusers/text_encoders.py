"""Tiny language models as text encoders, and their tokenizers, made offline.

The tokenizers are trained on the words that the pipelines put around a prompt.
"""

from __future__ import annotations

import json
from typing import Any

import diffusers
import tokenizers
import transformers

from .tiny import WORDS

_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{{ message.content[0].text }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_TEXTS = (
    " ".join(WORDS) * 4,
    *WORDS * 4,
    "system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:\nuser\nassistant\n" * 3,
    "You are an assistant designed to generate superior images with the superior degree of "
    "image-text alignment based on textual prompts or user prompts. <Prompt Start> " * 3,
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 800,
}
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}


def qwen() -> Any:
    config = transformers.Qwen2_5_VLConfig(
        text_config={**SMALL, "rope_scaling": MROPE},
        vision_config={
            **{"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2},
            "out_hidden_size": 16,
        },
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def gemma() -> Any:
    return transformers.Gemma2Model(transformers.Gemma2Config(**SMALL, sliding_window=64))


def qwen_tokenizer() -> Any:
    vocabulary, merges = _trained(
        transformers.Qwen2Tokenizer()._tokenizer,
        _SPECIAL,
        tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer = transformers.Qwen2Tokenizer(vocabulary, merges, extra_special_tokens=_SPECIAL[1:])
    tokenizer.chat_template = _CHAT
    return tokenizer


def gemma_tokenizer() -> Any:
    vocabulary, merges = _trained(transformers.GemmaTokenizer()._tokenizer, _GEMMA_SPECIAL, [])
    return transformers.GemmaTokenizer(vocabulary, merges)


def _trained(
    empty: Any, special: list[str], alphabet: list[str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a tokenizer that splits its text as `empty` does."""
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.normalizer, learner.pre_tokenizer = empty.normalizer, empty.pre_tokenizer
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(_texts(), trainer)
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def _texts() -> list[str]:
    import inspect

    parameters = inspect.signature(diffusers.SanaPipeline.__call__).parameters
    return [*_TEXTS, *parameters["complex_human_instruction"].default]
