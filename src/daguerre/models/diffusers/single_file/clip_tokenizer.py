"""CLIP's tokenizer, from the list of its merges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daguerre.models.diffusers.component_files import read_json
from daguerre.models.diffusers.single_file.layouts import MERGES


def load(folder: Path) -> Any:
    """A `transformers.CLIPTokenizer` with the options of the `tokenizer_config.json` in `folder`.

    The vocabulary has 49,408 words: bytes, bytes at the end of a word, the results of the merges,
    and two marks.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    config = read_json(folder / "tokenizer_config.json")
    del config["tokenizer_class"]
    merges = [tuple(line.split()) for line in MERGES.read_text(encoding="utf-8").splitlines()]
    letters = sorted(ByteLevel.alphabet())  # a printable one for each byte
    ends = [f"{letter}</w>" for letter in letters]
    marks = (config["bos_token"], config["eos_token"])
    words = (*letters, *ends, *map("".join, merges), *marks)
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, **config)
