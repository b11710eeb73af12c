"""Components of checkpoints with random weights, tokenizers included, made offline.

They have the classes of real ones and any size; `save` writes a checkpoint in diffusers format. The
weights come from torch's global generator, which the caller seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import sentencepiece
import torch
import transformers

CLIP_TOKENS = 77  # CLIP's limit
_START, _END = "<|startoftext|>", "<|endoftext|>"


def save(pipeline: Any, folder: Path, **components: Any) -> Path:
    """Writes a checkpoint; `pipeline` is a class of diffusers."""
    made = pipeline(**components)
    for component in made.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval()
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def autoencoder(channels: Sequence[int], **config: Any) -> Any:
    """`channels` are those of the levels; each level halves width and height."""
    return diffusers.AutoencoderKL(
        **{
            "block_out_channels": list(channels),
            "down_block_types": ["DownEncoderBlock2D"] * len(channels),
            "up_block_types": ["UpDecoderBlock2D"] * len(channels),
            "norm_num_groups": 8,
            **config,
        }
    )


def clip(vocabulary: Mapping[str, int], with_projection: bool = False, **config: Any) -> Any:
    complete = transformers.CLIPTextConfig(
        **{
            "vocab_size": max(vocabulary.values()) + 1,
            "max_position_embeddings": CLIP_TOKENS,
            "bos_token_id": vocabulary[_START],
            "eos_token_id": vocabulary[_END],
            **config,
        }
    )
    if with_projection:
        return transformers.CLIPTextModelWithProjection(complete)
    return transformers.CLIPTextModel(complete)


def clip_vocabulary(size: int = 514) -> dict[str, int]:
    """Bytes, bytes at the end of a word, and two special tokens at the end, as in CLIP's vocabulary
    of 49,408 words. It has no longer words, and any text has tokens."""
    letters = [chr(number) for number in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    words = {word: n for n, word in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    return words | {_START: size - 2, _END: size - 1}


def clip_tokenizer(folder: Path, vocabulary: Mapping[str, int]) -> Any:
    """Writes its files next to `folder`."""
    files = folder.parent / f"{folder.name}-clip"
    files.mkdir(parents=True, exist_ok=True)
    (files / "vocab.json").write_text(json.dumps(vocabulary))
    (files / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(files)
    tokenizer.model_max_length = CLIP_TOKENS
    return tokenizer


def t5(width: int, **config: Any) -> Any:
    """The encoder, with gated feed-forward layers as in version 1.1."""
    complete = transformers.T5Config(
        **{
            "vocab_size": 1200,
            "d_model": width,
            "d_kv": 8,
            "d_ff": 37,
            "num_layers": 2,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            **config,
        }
    )
    return transformers.T5EncoderModel(complete)


def t5_tokenizer(folder: Path, words: Sequence[str]) -> Any:
    """Trains a sentencepiece model, the format of real checkpoints, next to `folder`."""
    files = folder.parent / f"{folder.name}-t5"
    files.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(words), *words] * 4),
        model_prefix=str(files / "spiece"),
        vocab_size=60,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return transformers.T5Tokenizer.from_pretrained(files, extra_ids=0)


def flux(folder: Path, words: Sequence[str], has_guidance: bool = True, **transformer: Any) -> Path:
    """Writes a checkpoint of FLUX.1 with text encoders of width 32 and 4 latent channels.

    `transformer` sets the size of the denoiser. Without `has_guidance` it is FLUX.1 [schnell].
    """
    vocabulary = clip_vocabulary()
    return save(
        diffusers.FluxPipeline,
        folder,
        transformer=diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=has_guidance,
            **transformer,
        ),
        vae=autoencoder([8, 16], shift_factor=0.1159),
        text_encoder=clip(vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
        text_encoder_2=t5(32),
        tokenizer=clip_tokenizer(folder, vocabulary),
        tokenizer_2=t5_tokenizer(folder, words),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=has_guidance),
    )
