"""Conversion of prompts to the denoiser's text input: windows of token ids, then (T, 384) float32.

The engine runs the encoder itself (all-MiniLM-L6-v2) in between. Long prompts are encoded in
windows, and if there are more tokens than slots, neighbours are averaged. A text has at most 24
windows: 3,024 tokens, more than 10,000 characters of English. Training and serving share this code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# Text tokens of the denoiser, besides the mean. The reader takes the shorter prompt if it suffices.
SHORT_SLOTS, NUM_SLOTS = 24, 64
NUM_NEGATIVE_SLOTS = 8
HIDDEN = -1e4  # bias of a slot that attention ignores
TEXT_WIDTH = 384
WINDOW_TOKENS = (32, 128)  # with [CLS] and [SEP]; the shorter window if it suffices
MAX_WINDOWS = 24  # of one text
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
    """All tokens in windows of `size`; if there are too many, the first ones of 24 equal runs."""
    if len(ids) <= MAX_WINDOWS * size:
        return [ids[start : start + size] for start in range(0, len(ids), size)]
    starts = [len(ids) * window // MAX_WINDOWS for window in range(MAX_WINDOWS)]
    return [ids[start : start + size] for start in starts]


def text_slots(num_tokens: int) -> int:
    """The number of slots for a prompt."""
    return SHORT_SLOTS if num_tokens <= SHORT_SLOTS else NUM_SLOTS


def condition(
    hidden: NDArray[np.float32], counts: tuple[int, ...], num_slots: int = NUM_SLOTS
) -> NDArray[np.float32]:
    """The denoiser's text input (1 + num_slots, 384) from the encoder's states (W, L, 384).

    Slot 0 is the mean of all word tokens. The others are the tokens in order, or the means of equal
    runs if there are more; slots without a token are zero. W may be 0.
    """
    out = np.zeros((1 + num_slots, TEXT_WIDTH), np.float32)
    if not counts:
        return out
    words = np.concatenate([hidden[w, 1 : 1 + n] for w, n in enumerate(counts)])  # (n, 384)
    words *= _SCALE
    out[0] = words.mean(axis=0)
    if len(words) <= num_slots:
        out[1 : 1 + len(words)] = words
    else:
        edges = np.linspace(0, len(words), num_slots + 1).astype(int)
        for slot in range(num_slots):
            out[1 + slot] = words[edges[slot] : edges[slot + 1]].mean(axis=0)
    return out
