"""The denoiser: a transformer that predicts the undecided fields of a scene from its text.

Letters in shape comments: B rows, F = 84 fields of a scene, S = 6 slots, T = 25 text tokens (slot 0
is the mean of the others), C width, N names of things, L values of all fields. Each slot's tokens
are combined into one vector, so a scene is 6 tokens long; these attend to each other and to the
text. Masked discrete diffusion: Austin et al. 2021 (D3PM, absorbing state), sampled in parts as in
Chang et al. 2022 (MaskGIT).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daguerre.models.embedded.drawing import SHAPES
from daguerre.models.embedded.fields import AT, FIELDS, MAX_OBJECTS, STARTS, Field
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH

NUM_SCENE_SLOTS = 1 + MAX_OBJECTS
NAME_FIELDS = tuple(AT[slot, "name"] for slot in range(1, NUM_SCENE_SLOTS))
NUM_NAMES = len(FIELDS[NAME_FIELDS[0]].values)


@dataclass(frozen=True)
class DenoiserConfig:
    """`width` channels in `depth` blocks over the scene and `text_depth` over the text."""

    width: int = 256
    depth: int = 5
    text_depth: int = 2
    heads: int = 8


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


class Attention(nn.Module):
    """Of x (B, n, C) to `other` (B, m, C); `bias` (B, 1, 1, m) is added to the logits."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
        rows, n, width = x.shape
        q = rms(self.q(x).view(rows, n, self.heads, -1)).transpose(1, 2)
        k, v = self.kv(other).view(rows, -1, 2, self.heads, width // self.heads).unbind(2)
        out = F.scaled_dot_product_attention(
            q, rms(k).transpose(1, 2), v.transpose(1, 2), attn_mask=bias
        )
        return self.proj(out.transpose(1, 2).reshape(rows, n, width))  # type: ignore[no-any-return]


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
        x = x + self.attention(normal, normal, bias)
        return x + self.mlp(rms(x))  # type: ignore[no-any-return]


class SceneBlock(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.read = Attention(config.width, config.heads)
        self.attention = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width)

    def forward(self, x: Tensor, text: Tensor, bias: Tensor) -> Tensor:
        x = x + self.read(rms(x), text, bias)
        normal = rms(x)
        x = x + self.attention(normal, normal)
        return x + self.mlp(rms(x))  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    """`names` (N, 384) are the text encoder's means of the things' names: a name is known by what
    it means, so that words near to it lead to it, too."""

    def __init__(self, config: DenoiserConfig, names: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("names", torch.zeros(NUM_NAMES, TEXT_WIDTH))
        if names is not None:
            self.names.copy_(names)
        self.embed_text = nn.Linear(TEXT_WIDTH, width)
        self.text_slot = nn.Parameter(torch.zeros(1 + NUM_SLOTS, width))
        self.text_kind = nn.Parameter(torch.zeros(2, width))  # wanted, unwanted
        self.text_blocks = nn.ModuleList(TextBlock(config) for _ in range(config.text_depth))
        sizes = [len(field.values) + 1 for field in FIELDS]  # with the mask
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0))
        self.embed_field = nn.Embedding(sum(sizes), width)
        self.embed_name = nn.Linear(TEXT_WIDTH, width, bias=False)
        self.slot = nn.Parameter(torch.randn(NUM_SCENE_SLOTS, width) * 0.1)
        self.embed_shape = nn.Embedding(len(SHAPES), width)
        self.blocks = nn.ModuleList(SceneBlock(config) for _ in range(config.depth))
        self.heads = nn.ModuleList(
            nn.Linear(width, sum(len(f.values) for f in FIELDS if f.slot == slot and _is_plain(f)))
            for slot in range(NUM_SCENE_SLOTS)
        )
        self.ask_name = nn.Linear(width, width)
        self.key_name = nn.Linear(TEXT_WIDTH, width, bias=False)
        self.own_name = nn.Embedding(NUM_NAMES, width)
        for table in (self.embed_field, self.embed_shape, self.own_name):
            nn.init.normal_(table.weight, std=0.1)

    def forward(
        self, tokens: Tensor, text: Tensor, negative: Tensor, shape: Tensor, copies: int = 1
    ) -> Tensor:
        """Logits (B, L) of all fields from tokens (B, F) int64, some of them masks.

        text and negative (B / copies, T, 384), zero where there is no token, are the prompt and the
        negative prompt, which may be shorter; shape (B,) int64 is a place in `SHAPES`. In training
        there are several scenes for each text, whose rows come one after the other.
        """
        words, bias = self.read_text(text, negative)
        if copies > 1:
            words, bias = (a.repeat_interleave(copies, dim=0) for a in (words, bias))
        x = self.embed_scene(tokens, shape)
        for block in self.blocks:
            x = block(x, words, bias)
        return self.logits(rms(x))

    def read_text(self, text: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Both texts (B, 2 T, C), each reading the other, and a bias (B, 1, 1, 2 T) that hides
        slots without a token but the first."""
        both = torch.cat((text, negative), dim=1)
        is_empty = both.abs().amax(dim=-1) == 0
        first = torch.arange(both.shape[1], device=both.device) == 0
        bias = ((is_empty & ~first).to(both.dtype) * -1e4)[:, None, None, :]
        lengths = (text.shape[1], negative.shape[1])
        slots = [self.text_slot[:n] + self.text_kind[i] for i, n in enumerate(lengths)]
        words = self.embed_text(both) + torch.cat(slots)
        for block in self.text_blocks:
            words = block(words, bias)
        return rms(words), bias

    def embed_scene(self, tokens: Tensor, shape: Tensor) -> Tensor:
        """(B, S, C): the fields of each slot together."""
        each = self.embed_field(tokens + self.starts)  # (B, F, C)
        known = F.pad(self.embed_name(self.names), (0, 0, 0, 1))  # (N + 1, C), the mask is zero
        slots = []
        for slot in range(NUM_SCENE_SLOTS):
            mine = [i for i, field in enumerate(FIELDS) if field.slot == slot]
            x = each[:, mine[0] : mine[-1] + 1].sum(dim=1)
            if slot:
                x = x + known[tokens[:, NAME_FIELDS[slot - 1]]]
            slots.append(x)
        return torch.stack(slots, dim=1) + self.slot + self.embed_shape(shape).unsqueeze(1)

    def logits(self, x: Tensor) -> Tensor:
        """(B, L) from the slots (B, S, C)."""
        keys = rms(self.key_name(self.names) + self.own_name.weight)  # (N, C)
        scale = 4 / self.config.width**0.5
        parts = []
        for slot in range(NUM_SCENE_SLOTS):
            plain = self.heads[slot](x[:, slot])
            if slot:
                parts.append(rms(self.ask_name(x[:, slot])) @ keys.T * scale)
            parts.append(plain)
        return torch.cat(parts, dim=-1)


def _is_plain(field: Field) -> bool:
    return field.name != "name"


# The names come first in their slots: so the logits of all fields lie as `STARTS` says.
assert all(FIELDS[i - 1].slot < FIELDS[i].slot for i in NAME_FIELDS) and STARTS[0] == 0
