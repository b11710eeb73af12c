"""Token counters of the families: the tokens that a pipeline reads for a prompt.

Each includes the words that the pipeline puts around the prompt.
"""

from __future__ import annotations

import inspect
from typing import Any

from daguerre.models.diffusers.family import TokenCounter


def count_preprocessed(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    (text,) = pipeline._text_preprocessing(text)
    return len(tokenizer(text).input_ids)


def count_sana(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    """An instruction precedes the prompt; the two marks at its ends are counted once."""
    if is_negative:
        return count_preprocessed(pipeline, tokenizer, text, is_negative)
    parameters = inspect.signature(type(pipeline).__call__).parameters
    instruction = "\n".join(parameters["complex_human_instruction"].default)
    (text,) = pipeline._text_preprocessing(text)
    return len(tokenizer(instruction + text).input_ids) - len(tokenizer.encode(instruction)) + 2


def count_lumina_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    text = text if is_negative else f"{pipeline.system_prompt} <Prompt Start> {text}"
    return len(tokenizer(text).input_ids)


def count_ovis_image(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    (text,) = pipeline._get_messages(text)
    num_tokens = len(tokenizer(text, add_special_tokens=False).input_ids)
    return num_tokens - int(pipeline.user_prompt_begin_id)


def count_qwen_image(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    text = pipeline.prompt_template_encode.format(text)
    return len(tokenizer(text).input_ids) - int(pipeline.prompt_template_encode_start_idx)


def count_krea_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    num_tokens = len(tokenizer(pipeline.prompt_template_encode_prefix + text).input_ids)
    num_suffix = int(pipeline.prompt_template_encode_num_suffix_tokens)
    return num_tokens - int(pipeline.prompt_template_encode_start_idx) + num_suffix


def chat_counter(**options: Any) -> TokenCounter:
    """Counter for a prompt that is the user's message in a chat template with these options."""

    def count(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
        return len(tokenizer(text).input_ids)

    return count


def count_flux_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    encoded = tokenizer.apply_chat_template(
        format_input([text], system_message=pipeline.system_message),
        add_generation_prompt=False,
        tokenize=True,
        return_dict=True,
    )
    return len(encoded["input_ids"][0])


def count_quoted_hunyuan_image(pipeline: Any, text: str) -> tuple[int, int]:
    """A second encoder reads the text in quotation marks."""
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import extract_glyph_text

    quoted = extract_glyph_text(text)
    num_tokens = len(pipeline.tokenizer_2(quoted).input_ids) if quoted else 0
    return num_tokens, int(pipeline.tokenizer_2_max_length)
