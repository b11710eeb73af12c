"""The denoiser: a plain transformer that predicts the clean image from noisy patches.

Letters in shape comments: B rows, N = 256 image tokens (padded), T = 25 text tokens (slot 0 is the
mean of the others), S = N + T, C width, P = 192 values of one 8x8 RGB patch. All nine sizes share
one sequence length; `bias` hides the padding, `position` says where each patch lies, so one set of
static shapes serves them all and rows of different sizes can share a forward.
Source of the idea of predicting the clean image without an autoencoder: Li and He, "Back to
Basics: Let Denoising Generative Models Denoise" (2025). Knows nothing of captions, of how noise is
drawn, or of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITION_WIDTH = 96  # daguerre.models.embedded.canvas: 64 for rotary angles, 32 for the canvas
ROPE_WIDTH = 64
ESTIMATE_VARIANCE = 0.01  # of the network's estimate, about what it reaches at late times


@dataclass(frozen=True)
class DenoiserConfig:
    """`width` channels in `depth` blocks of `heads` heads; `cond` channels of the modulation."""

    width: int = 384
    depth: int = 8
    heads: int = 6
    cond: int = 256
    patch_values: int = 192
    num_image_tokens: int = 256
    num_text_tokens: int = 25
    text_width: int = 384


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding; x (B, heads, S, D), cos and sin (B, 1, S, D / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def blend(noisy: Tensor, estimate: Tensor, t: Tensor) -> Tensor:
    """The clean image from the noisy one (B, N, P) and the network's estimate of it.

    Both measure the clean image: noisy / t errs by (1 - t) / t, the estimate by what the
    network cannot resolve; each is weighted by its precision. So fine detail need not pass the
    network once the noise is smaller than that, and such times do not rule the loss. The same form
    as the preconditioning of Karras et al. 2022 (EDM, table 1), with the network's error in the
    place of the deviation of the data.
    """
    t = t[:, None, None]
    total = ESTIMATE_VARIANCE * t**2 + (1 - t) ** 2
    return (ESTIMATE_VARIANCE * t * noisy + (1 - t) ** 2 * estimate) / total


class Block(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.modulation = nn.Linear(config.cond, 6 * width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        hidden = 8 * width // 3 // 64 * 64
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(rms(q), cos, sin), rotate(rms(k), cos, sin)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (B, heads, S, D)
        return self.proj(out.transpose(1, 2).reshape(rows, length, width))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, c: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        s1, b1, g1, s2, b2, g2 = self.modulation(c).unsqueeze(1).chunk(6, dim=-1)  # (B, 1, C) each
        x = x + g1 * self.attend(rms(x) * (1 + s1) + b1, cos, sin, bias)
        gate, up = self.up(rms(x) * (1 + s2) + b2).chunk(2, dim=-1)
        return x + g2 * self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class Denoiser(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed_patch = nn.Linear(config.patch_values, width)
        self.embed_position = nn.Linear(POSITION_WIDTH, width)
        self.embed_text = nn.Linear(config.text_width, width)
        self.text_slot = nn.Parameter(torch.zeros(config.num_text_tokens, width))
        self.embed_time = nn.Linear(256, config.cond)
        self.embed_mean = nn.Linear(config.text_width, config.cond)
        self.condition = nn.Linear(config.cond, config.cond)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.last_modulation = nn.Linear(config.cond, 2 * width)
        self.last = nn.Linear(width, config.patch_values)
        for layer in (self.last_modulation, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        patches: Tensor,
        t: Tensor,
        text: Tensor,
        position: Tensor,
        bias: Tensor,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Clean patches (B, N, P) from noisy ones.

        t (B,) in [0, 1], 0 is noise; text (B, T, text_width); position (B, N, 96) is
        cos and sin of where the patches lie; bias (B, N) is 0 for patches and -1e4 for padding.
        `keep` (B, K), in training only, names the image tokens that go through the middle blocks
        (token routing, Krause et al. 2025, "TREAD").
        """
        num_text = self.config.num_text_tokens
        frequencies = torch.exp(
            torch.arange(128, dtype=torch.float32, device=t.device) * (-9.2103 / 127)
        )
        angles = t.unsqueeze(1) * 1000.0 * frequencies  # (B, 128)
        wave = torch.cat((angles.cos(), angles.sin()), dim=-1)
        c = F.silu(self.embed_time(wave) + self.embed_mean(text[:, 0]))
        c = F.silu(self.condition(c))
        words = self.embed_text(text) + self.text_slot
        x = self.embed_patch(patches) + self.embed_position(position)
        x = torch.cat((words, x), dim=1)  # (B, S, C)
        rope, half = position[:, :, :ROPE_WIDTH], ROPE_WIDTH // 2
        still = torch.ones_like(rope[:, :1, :half]).expand(-1, num_text, -1)
        cos = torch.cat((still, rope[:, :, :half]), dim=1).unsqueeze(1)  # (B, 1, S, D / 2)
        sin = torch.cat((torch.zeros_like(still), rope[:, :, half:]), dim=1).unsqueeze(1)
        bias = F.pad(bias, (num_text, 0))[:, None, None, :]  # (B, 1, 1, S)
        if keep is None:
            for block in self.blocks:
                x = block(x, c, cos, sin, bias)
        else:
            x = self._routed(x, c, cos, sin, bias, keep + num_text)
        s, b = self.last_modulation(c).unsqueeze(1).chunk(2, dim=-1)
        return blend(patches, self.last(rms(x[:, num_text:]) * (1 + s) + b), t)

    def _routed(
        self, x: Tensor, c: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, keep: Tensor
    ) -> Tensor:
        words = torch.arange(self.config.num_text_tokens, device=x.device)
        keep = torch.cat((words.expand(len(x), -1), keep), dim=1)  # (B, T + K)
        index = keep.unsqueeze(-1)

        def take(a: Tensor) -> Tensor:  # (B, 1, S, D) -> (B, 1, T + K, D)
            return a.squeeze(1).gather(1, index.expand(-1, -1, a.shape[-1])).unsqueeze(1)

        short_cos, short_sin = take(cos), take(sin)
        short_bias = bias.squeeze(1).squeeze(1).gather(1, keep)[:, None, None, :]
        x = self.blocks[0](x, c, cos, sin, bias)
        index = index.expand(-1, -1, x.shape[-1])
        short = x.gather(1, index)
        for block in self.blocks[1:-1]:
            short = block(short, c, short_cos, short_sin, short_bias)
        x = x.scatter(1, index, short)
        return self.blocks[-1](x, c, cos, sin, bias)  # type: ignore[no-any-return]
