"""How many tokens a prompt has for the one who reads it, as each family's pipeline tells it.

The stock pipelines cut off what is too long, and draw a picture of the rest; here it is counted
before. Each family wraps a prompt in words of its own, which count, too. Knows nothing of requests,
networks or how a refusal is told.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from daguerre.models.diffusers.families import Family

# (pipeline, tokenizer, text, whether it is the negative prompt) -> tokens that count
_Count = Callable[[Any, Any, str, bool], int]


def num_tokens(family: Family, pipeline: Any, text: str, is_negative: bool) -> tuple[int, int]:
    """The tokens of this text, those of the family's own words included, and the most it reads."""
    prompt_tokenizers = (
        (getattr(pipeline, name, None), most) for name, most in family.prompt_tokenizers
    )
    tokenizer, most = next(
        (reader, most) for reader, most in prompt_tokenizers if reader is not None
    )
    count = _COUNTS.get(family.pipeline, _plain)
    limit: int = most or tokenizer.model_max_length
    return count(pipeline, tokenizer, text, is_negative), limit


def num_quoted(family: Family, pipeline: Any, text: str) -> tuple[int, int]:
    """The tokens of what stands in quotation marks, and the most that an encoder of its own reads;
    0 of 0 where a family has none."""
    if family.pipeline != "HunyuanImagePipeline":
        return 0, 0
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import extract_glyph_text

    quoted = extract_glyph_text(text)
    num = len(pipeline.tokenizer_2(quoted).input_ids) if quoted else 0
    return num, int(pipeline.tokenizer_2_max_length)


def _plain(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    if hasattr(pipeline, "_text_preprocessing"):
        (text,) = pipeline._text_preprocessing(text)
    return len(tokenizer(text).input_ids)


def _sana(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    """An instruction stands before the prompt; the two marks of its ends are counted once."""
    (text,) = pipeline._text_preprocessing(text)
    if is_negative:
        return len(tokenizer(text).input_ids)
    parameters = inspect.signature(type(pipeline).__call__).parameters
    instruction = "\n".join(parameters["complex_human_instruction"].default)
    return len(tokenizer(instruction + text).input_ids) - len(tokenizer.encode(instruction)) + 2


def _lumina_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    told = text if is_negative else f"{pipeline.system_prompt} <Prompt Start> {text}"
    return len(tokenizer(told).input_ids)


def _qwen_image(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    told = pipeline.prompt_template_encode.format(text)
    return len(tokenizer(told).input_ids) - int(pipeline.prompt_template_encode_start_idx)


def _krea_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    read = len(tokenizer(pipeline.prompt_template_encode_prefix + text).input_ids)
    before = int(pipeline.prompt_template_encode_start_idx)
    return read - before + int(pipeline.prompt_template_encode_num_suffix_tokens)


def _chat(**options: Any) -> _Count:
    def count(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
        messages = [{"role": "user", "content": text}]
        told = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **options
        )
        return len(tokenizer(told).input_ids)

    return count


def _flux_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    told = tokenizer.apply_chat_template(
        format_input([text], system_message=pipeline.system_message),
        add_generation_prompt=False,
        tokenize=True,
        return_dict=True,
    )
    return len(told["input_ids"][0])


_COUNTS: Mapping[str, _Count] = {
    "SanaPipeline": _sana,
    "Lumina2Pipeline": _lumina_2,
    "QwenImagePipeline": _qwen_image,
    "HunyuanImagePipeline": _qwen_image,
    "Krea2Pipeline": _krea_2,
    "ZImagePipeline": _chat(enable_thinking=True),
    "Flux2KleinPipeline": _chat(enable_thinking=False),
    "Flux2Pipeline": _flux_2,
}
