"""Conversion of prompts to the denoiser's text input: windows of token ids, then (25, 384) float32.

The engine runs the encoder itself (all-MiniLM-L6-v2) in between. Long prompts are encoded in
windows, and if there are more tokens than slots, neighbours are averaged. A text has at most one
window per slot: 3,024 tokens, more than 10,000 characters of English. Training and serving share
this code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

NUM_SLOTS = 24  # text tokens of the denoiser, besides the mean
TEXT_WIDTH = 384
WINDOW_TOKENS = (32, 128)  # with [CLS] and [SEP]; the shorter window if it suffices
_SCALE = 3.0  # scales MiniLM's last hidden states to a root mean square near 1


@dataclass(frozen=True, slots=True, eq=False)
class TextWindows:
    """Windows of several texts in one array: ids and mask (W, L) int64.

    `counts[k]` are the numbers of word tokens in each window of text k; () if it has none.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    counts: tuple[tuple[int, ...], ...]


class PromptTokenizer:
    def __init__(self, file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        cls, sep = (self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        assert cls is not None and sep is not None, f"{file} is not BERT's. This is a bug."
        self._cls, self._sep = cls, sep

    def windows(self, texts: Sequence[str]) -> TextWindows:
        """The windows of all `texts`, in order; W is 0 if no text has a token."""
        tokens = [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        longest = max(map(len, tokens), default=0)
        length = next((n for n in WINDOW_TOKENS if longest + 2 <= n), WINDOW_TOKENS[-1])
        windows = [_split(ids, length - 2) for ids in tokens]
        flat = [[self._cls, *words, self._sep] for text in windows for words in text]
        ids = np.zeros((len(flat), length), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(flat):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        return TextWindows(ids, mask, tuple(tuple(map(len, text)) for text in windows))


def _split(ids: list[int], size: int) -> list[list[int]]:
    """All tokens in windows of `size`; if there are too many, the first ones of each slot."""
    if len(ids) <= NUM_SLOTS * size:
        return [ids[start : start + size] for start in range(0, len(ids), size)]
    starts = [len(ids) * slot // NUM_SLOTS for slot in range(NUM_SLOTS)]
    return [ids[start : start + size] for start in starts]


def condition(hidden: NDArray[np.float32], counts: tuple[int, ...]) -> NDArray[np.float32]:
    """The denoiser's text input (25, 384) from the encoder's hidden states (W, L, 384).

    Slot 0 is the mean of all word tokens. Slots 1 to 24 are the tokens in order, or the means of 24
    equal runs if there are more; slots without a token are zero. W may be 0.
    """
    out = np.zeros((1 + NUM_SLOTS, TEXT_WIDTH), np.float32)
    if not counts:
        return out
    words = np.concatenate([hidden[w, 1 : 1 + n] for w, n in enumerate(counts)])  # (n, 384)
    words *= _SCALE
    out[0] = words.mean(axis=0)
    if len(words) <= NUM_SLOTS:
        out[1 : 1 + len(words)] = words
    else:
        edges = np.linspace(0, len(words), NUM_SLOTS + 1).astype(int)
        for slot in range(NUM_SLOTS):
            out[1 + slot] = words[edges[slot] : edges[slot + 1]].mean(axis=0)
    return out
