"""The denoiser as the server runs it: the prompt is read once, and each step reads the result.

What depends on no input, such as the tables of names, is computed before the export. Parameters
keep their names in the exported files, from which `training.restore` reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daguerre.models.embedded.text import TEXT_WIDTH
from training.network import Denoiser


class Reader(nn.Module):
    """Texts to what all blocks read of them."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, text: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """keys and values (R, depth, heads, m, C / heads) and the bias (R, 1, 1, m)."""
        memories, bias = self.denoiser.read(text, negative)
        keys = torch.stack([k for k, _ in memories], dim=1)
        return keys, torch.stack([v for _, v in memories], dim=1), bias


class Steps(nn.Module):
    """The logits of a step."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        known, own = denoiser.name_tables()
        self.known_names = nn.Parameter(known.detach())
        self.name_keys = nn.Parameter(own.detach())

    def forward(
        self, tokens: Tensor, shape: Tensor, keys: Tensor, values: Tensor, bias: Tensor
    ) -> Tensor:
        memories = list(zip(keys.unbind(1), values.unbind(1), strict=True))
        x = self.denoiser.states(tokens, shape, memories, bias, self.known_names)
        return self.denoiser.logits(x, self.name_keys)


@torch.no_grad()
def read_nothing(denoiser: Denoiser) -> tuple[Tensor, Tensor]:
    """keys and values (1, depth, heads, 1, C / heads) of two empty texts, whose one slot counts."""
    text = torch.zeros(1, 1, TEXT_WIDTH)
    keys, values, _ = Reader(denoiser)(text, text[:, :0])
    return keys, values
