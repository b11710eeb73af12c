"""Components of checkpoints with random weights, tokenizers included, made offline.

They are of the classes of real ones, in whatever sizes are asked for; `save` writes a checkpoint in
diffusers format. Random numbers are torch's: whoever makes a component seeds them.
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

CLIP_TOKENS = 77  # the most that CLIP reads
_START, _END = "<|startoftext|>", "<|endoftext|>"


def save(pipeline: Any, folder: Path, **components: Any) -> Path:
    """`pipeline` is a class of diffusers."""
    made = pipeline(**components)
    for component in made.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval()
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def autoencoder(channels: Sequence[int], **config: Any) -> Any:
    """`channels` are those of its levels, each with half the width and height of the one before."""
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
    """Bytes, bytes that end a word, and at its end the two marks, as in CLIP's of 49,408 words; of
    what stands between there is none. Any text has tokens."""
    letters = [chr(number) for number in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    words = {word: n for n, word in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    return words | {_START: size - 2, _END: size - 1}


def clip_tokenizer(folder: Path, vocabulary: Mapping[str, int]) -> Any:
    """Its files go beside `folder`."""
    files = folder.parent / f"{folder.name}-clip"
    files.mkdir(parents=True, exist_ok=True)
    (files / "vocab.json").write_text(json.dumps(vocabulary))
    (files / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(files)
    tokenizer.model_max_length = CLIP_TOKENS
    return tokenizer


def t5(width: int, **config: Any) -> Any:
    """The encoder, with gates as those of version 1.1."""
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
    """Read from a sentencepiece model, as the real checkpoints have one. Its files go beside
    `folder`."""
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
