"""The denoiser: a transformer that predicts the undecided fields of a scene from its text.

Letters in shape comments: B rows, F = 85 fields of a scene, S = 6 slots, T text tokens, at most
65 (the first is the mean of the others), C width, N names of things, L values of all fields. Each
slot's tokens are combined into one vector, so a scene is 6 tokens long; these attend to each other
and to the text. Masked discrete diffusion: Austin et al. 2021 (D3PM, absorbing state), sampled in
parts as in Chang et al. 2022 (MaskGIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daguerre.models.embedded.drawing import SHAPES
from daguerre.models.embedded.fields import AT, FIELDS, MAX_OBJECTS, STARTS
from daguerre.models.embedded.text import (
    HIDDEN,
    NUM_NEGATIVE_SLOTS,
    NUM_SLOTS,
    TEXT_WIDTH,
)

NUM_SCENE_SLOTS = 1 + MAX_OBJECTS
NAME_FIELDS = tuple(AT[slot, "name"] for slot in range(1, NUM_SCENE_SLOTS))
NUM_NAMES = len(FIELDS[NAME_FIELDS[0]].values)
PLAIN_FIELDS = tuple(i for i, field in enumerate(FIELDS) if field.name != "name")


@dataclass(frozen=True)
class DenoiserConfig:
    """`width` channels in `depth` blocks over the scene and `text_depth` over the text."""

    width: int = 256
    depth: int = 5
    text_depth: int = 2
    heads: int = 8


Memory = tuple[Tensor, Tensor]  # keys and values of an attention


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


class Attention(nn.Module):
    """Of x to `other`; k and v are (B, heads, m, C / heads)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)

    def memory(self, other: Tensor) -> Memory:
        """The keys and values of `other` (B, m, C)."""
        rows, m, width = other.shape
        k, v = self.kv(other).view(rows, m, 2, self.heads, width // self.heads).unbind(2)
        return rms(k).transpose(1, 2), v.transpose(1, 2)

    def forward(self, x: Tensor, memory: Memory, bias: Tensor | None = None) -> Tensor:
        """From x (B copies, n, C); `bias` (B, 1, 1, m) is added to the logits.

        The copies of a row come one after the other and share its memory.
        """
        k, v = memory
        q = rms(self.q(x).view(k.shape[0], -1, self.heads, k.shape[-1])).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(out.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 8 * width // 3 // 64 * 64
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class TextBlock(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        normal = rms(x)
        x = x + self.attention(normal, self.attention.memory(normal), bias)
        return x + self.mlp(rms(x))  # type: ignore[no-any-return]


class SceneBlock(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.read = Attention(config.width, config.heads)
        self.attention = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width)

    def forward(self, x: Tensor, text: Memory, bias: Tensor) -> Tensor:
        x = x + self.read(rms(x), text, bias)
        normal = rms(x)
        x = x + self.attention(normal, self.attention.memory(normal))
        return x + self.mlp(rms(x))  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    """`names` (N, 384) are the text encoder's means of the things' names.

    A name is embedded by its meaning, so words with a similar meaning also lead to it.
    """

    def __init__(self, config: DenoiserConfig, names: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("names", torch.zeros(NUM_NAMES, TEXT_WIDTH))
        if names is not None:
            self.names.copy_(names)
        self.embed_text = nn.Linear(TEXT_WIDTH, width)
        self.prompt_slot = nn.Parameter(torch.zeros(1 + NUM_SLOTS, width))
        self.negative_slot = nn.Parameter(torch.randn(1 + NUM_NEGATIVE_SLOTS, width) * 0.1)
        self.text_blocks = nn.ModuleList(TextBlock(config) for _ in range(config.text_depth))
        sizes = [len(FIELDS[i].values) + 1 for i in PLAIN_FIELDS]  # with the mask
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0))
        self.embed_field = nn.Embedding(sum(sizes), width)
        self.embed_name = nn.Linear(TEXT_WIDTH, width, bias=False)
        self.rest_of_name = nn.Embedding(NUM_NAMES + 1, width)  # with the mask
        self.embed_shape = nn.Embedding(len(SHAPES), width)
        self.blocks = nn.ModuleList(SceneBlock(config) for _ in range(config.depth))
        self.heads = nn.ModuleList(
            nn.Linear(width, sum(len(FIELDS[i].values) for i in _plain_fields(slot)))
            for slot in range(NUM_SCENE_SLOTS)
        )
        self.ask_name = nn.Linear(width, width)
        self.key_name = nn.Linear(TEXT_WIDTH, width, bias=False)
        self.own_name = nn.Embedding(NUM_NAMES, width)
        for table in (self.embed_field, self.rest_of_name, self.embed_shape, self.own_name):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens: Tensor, text: Tensor, negative: Tensor, shape: Tensor) -> Tensor:
        """Logits (B, L) of all fields from tokens (B, F) int64, some of them masks.

        text (B / copies, T, 384) and negative (B / copies, 9, 384) are the prompt and the negative
        prompt; empty slots are zero or left out at the end. shape (B,) int64 indexes `SHAPES`. In
        training, each text has several scenes, in consecutive rows.
        """
        memories, bias = self.read(text, negative)
        known, keys = self.name_tables()
        return self.logits(self.states(tokens, shape, memories, bias, known), keys)

    def read(self, text: Tensor, negative: Tensor) -> tuple[list[Memory], Tensor]:
        """What each block reads of the texts, and the bias (B, 1, 1, T + 9).

        The bias hides empty slots, except the first.
        """
        both = torch.cat((text, negative), dim=1)
        is_empty = both.abs().amax(dim=-1) == 0
        first = torch.arange(both.shape[1], device=both.device) == 0
        bias = ((is_empty & ~first).to(both.dtype) * HIDDEN)[:, None, None, :]
        slots = (self.prompt_slot[: text.shape[1]], self.negative_slot[: negative.shape[1]])
        words = self.embed_text(both) + torch.cat(slots)
        for block in self.text_blocks:
            words = block(words, bias)
        words = rms(words)
        return [block.read.memory(words) for block in self.blocks], bias

    def states(
        self,
        tokens: Tensor,
        shape: Tensor,
        memories: Sequence[Memory],
        bias: Tensor,
        known: Tensor,
    ) -> Tensor:
        """(B, S, C): what the blocks make of the slots; `known` is of `name_tables`."""
        x = self.embed_scene(tokens, shape, known)
        for block, memory in zip(self.blocks, memories, strict=True):
            x = block(x, memory, bias)
        return rms(x)

    def name_tables(self) -> tuple[Tensor, Tensor]:
        """(N + 1, C) what the names and the mask add to their slots; and the names' keys (N, C)."""
        known = F.pad(self.embed_name(self.names), (0, 0, 0, 1)) + self.rest_of_name.weight
        return known, rms(self.key_name(self.names) + self.own_name.weight)

    def embed_scene(self, tokens: Tensor, shape: Tensor, known: Tensor) -> Tensor:
        """(B, S, C): the fields of each slot together."""
        each = self.embed_field(tokens[:, list(PLAIN_FIELDS)] + self.starts)  # without the names
        slots, start = [], 0
        for slot in range(NUM_SCENE_SLOTS):
            end = start + len(_plain_fields(slot))
            x = each[:, start:end].sum(dim=1)
            start = end
            if slot:
                x = x + known[tokens[:, NAME_FIELDS[slot - 1]]]
            slots.append(x)
        return torch.stack(slots, dim=1) + self.embed_shape(shape).unsqueeze(1)

    def logits(self, x: Tensor, keys: Tensor) -> Tensor:
        """(B, L) from the slots (B, S, C) and the names' keys."""
        scale = 4 / self.config.width**0.5
        parts = []
        for slot in range(NUM_SCENE_SLOTS):
            plain = self.heads[slot](x[:, slot])
            if slot:
                parts.append(F.linear(rms(self.ask_name(x[:, slot])), keys) * scale)
            parts.append(plain)
        return torch.cat(parts, dim=-1)


def _plain_fields(slot: int) -> list[int]:
    return [i for i in PLAIN_FIELDS if FIELDS[i].slot == slot]


# The names come first in their slots, so the logits of all fields have the order of `STARTS`.
assert all(FIELDS[i - 1].slot < FIELDS[i].slot for i in NAME_FIELDS) and STARTS[0] == 0
