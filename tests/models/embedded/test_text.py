"""Prompts to token windows, and windows to the denoiser's text input."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.text import (
    MAX_WINDOWS,
    NUM_SLOTS,
    TEXT_WIDTH,
    PromptTokenizer,
    condition,
    text_slots,
)


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer(WEIGHTS / "tokenizer.json")


def test_short_texts_share_a_short_window(tokenizer: PromptTokenizer) -> None:
    """A prompt and its negative prompt are two rows of 32 tokens; an empty text has none."""
    windows = tokenizer.windows(["a red cat", "", "dogs"])
    assert windows.ids.shape == windows.mask.shape == (2, 32)
    assert windows.counts == ((3,), (), (1,))
    assert windows.mask.sum(axis=1).tolist() == [5, 3]


def test_no_token_of_a_long_prompt_is_lost(tokenizer: PromptTokenizer) -> None:
    """Ten thousand characters are tokenised up to the last word."""
    text = ("cat " * 2500)[:-1]
    windows = tokenizer.windows([text])
    assert sum(windows.counts[0]) == 2500
    assert windows.ids.shape[1] == 128


@pytest.mark.parametrize("num_tokens", [3024, 3025, 10_000])
def test_number_of_windows(tokenizer: PromptTokenizer, num_tokens: int) -> None:
    """A text of many tokens has 24 windows, each the start of an equal share."""
    symbols = [chr(ord("a") + index % 26) for index in range(num_tokens)]
    windows = tokenizer.windows([" ".join(symbols), "a cat"])
    assert windows.counts == ((126,) * MAX_WINDOWS, (2,))
    for slot in range(MAX_WINDOWS):
        start = num_tokens * slot // MAX_WINDOWS
        alone = tokenizer.windows([" ".join(symbols[start : start + 126])])
        assert windows.ids[slot].tolist() == alone.ids[0].tolist()


@pytest.mark.parametrize("text", ["x" * 10_000, "🌈" * 10_000, "猫", "\u200b", "a\u0301" * 999])
def test_odd_texts_have_windows(tokenizer: PromptTokenizer, text: str) -> None:
    """Unusual prompts are tokenised without an error."""
    windows = tokenizer.windows([text])
    assert windows.ids.min(initial=0) >= 0


def test_slots_hold_tokens_in_order_and_the_mean() -> None:
    """Each of a few tokens has its slot, slot 0 is their mean, and the rest is zero."""
    hidden = np.zeros((1, 32, TEXT_WIDTH), np.float32)
    hidden[0, 1], hidden[0, 2] = 1.0, 3.0
    out = condition(hidden, (2,))
    assert out.shape == (1 + NUM_SLOTS, TEXT_WIDTH)
    assert np.all(out[0] == (out[1] + out[2]) / 2)
    assert np.all(out[2] == 3 * out[1])
    assert not out[3:].any()


def test_every_token_of_a_long_prompt_counts() -> None:
    """With more tokens than slots, changing any one of them changes the text input."""
    hidden = np.random.default_rng(0).standard_normal((2, 128, TEXT_WIDTH)).astype(np.float32)
    counts = (126, 40)
    before = condition(hidden, counts)
    for window, count in enumerate(counts):
        for token in range(1, count + 1):
            changed = hidden.copy()
            changed[window, token] += 1.0
            assert not np.array_equal(condition(changed, counts)[1:], before[1:])


def test_no_text_is_all_zero() -> None:
    """The empty prompt gives zeros, which the denoiser was trained on."""
    assert not condition(np.empty((0, 32, TEXT_WIDTH), np.float32), ()).any()


def test_short_prompts_have_few_slots() -> None:
    """A prompt has a slot for each token, up to 64."""
    assert [text_slots(n) for n in (0, 24, 25, 64, 300)] == [24, 24, 64, 64, 64]
    hidden = np.ones((1, 128, TEXT_WIDTH), np.float32)
    assert condition(hidden, (20,), 8).shape == (9, TEXT_WIDTH)
