"""From a prompt to the denoiser's text input: windows of token ids in, (25, 384) float32 out.

The encoder itself (all-MiniLM-L6-v2) is a network that the engine runs; this module holds what is
done before and after it. No word of a long prompt is cut off: it is read in windows, and where
there are more tokens than slots, neighbouring ones are averaged. Training and serving share this
code. Knows nothing of OpenVINO or of images.
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
_WINDOWS = (32, 128)  # tokens in a window, [CLS] and [SEP] included; the shorter where it suffices
_SCALE = 3.0  # brings MiniLM's last hidden values to a root mean square near one


@dataclass(frozen=True, slots=True, eq=False)
class TextWindows:
    """Windows of several texts in one array: ids and mask (W, L) int64.

    `counts[k]` are the word tokens in each of the windows of text k; () where it has none.
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
        """The windows of all `texts`, in order; W is 0 where none of them has a token."""
        tokens = [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        longest = max(map(len, tokens), default=0)
        length = next((n for n in _WINDOWS if longest + 2 <= n), _WINDOWS[-1])
        windows = [_split(ids, length - 2) for ids in tokens]
        flat = [[self._cls, *words, self._sep] for text in windows for words in text]
        ids = np.zeros((len(flat), length), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(flat):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        return TextWindows(ids, mask, tuple(tuple(map(len, text)) for text in windows))


def _split(ids: list[int], size: int) -> list[list[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def condition(hidden: NDArray[np.float32], counts: tuple[int, ...]) -> NDArray[np.float32]:
    """The denoiser's text input (25, 384) from the encoder's hidden states (W, L, 384).

    Slot 0 is the mean of all word tokens; slots 1 to 24 are the tokens in order, or the means of
    24 equal runs of them where there are more; slots without a token are zero. W may be 0.
    """
    if not counts:
        return np.zeros((1 + NUM_SLOTS, TEXT_WIDTH), np.float32)
    words = (
        np.concatenate([hidden[w, 1 : 1 + n] for w, n in enumerate(counts)]) * _SCALE
    )  # (n, 384)
    out = np.zeros((1 + NUM_SLOTS, TEXT_WIDTH), np.float32)
    out[0] = words.mean(axis=0)
    if len(words) <= NUM_SLOTS:
        out[1 : 1 + len(words)] = words
    else:
        edges = np.linspace(0, len(words), NUM_SLOTS + 1).astype(int)
        for slot in range(NUM_SLOTS):
            out[1 + slot] = words[edges[slot] : edges[slot + 1]].mean(axis=0)
    return out
