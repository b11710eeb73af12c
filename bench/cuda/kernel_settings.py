"""Settings of torch that select kernels on a CUDA device, one context manager each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

_REDUCTIONS = ("allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction")


@contextmanager
def split_k(is_allowed: bool) -> Iterator[None]:
    """Whether cuBLAS may split the sum of a product; partial sums are never rounded."""
    matmul = torch.backends.cuda.matmul
    before = {
        name: (getattr(matmul, name), getattr(matmul, f"{name}_split_k")) for name in _REDUCTIONS
    }
    try:
        for name in _REDUCTIONS:
            setattr(matmul, name, (False, is_allowed))
        yield
    finally:
        for name, value in before.items():
            setattr(matmul, name, value)


@contextmanager
def torch_defaults() -> Iterator[None]:
    """What torch uses unless a program says otherwise, as a plain diffusers program does."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    names = ("deterministic", "allow_tf32")
    before = [getattr(cudnn, name) for name in names], torch.backends.cuda.cudnn_sdp_enabled()
    reductions = {name: getattr(matmul, name) for name in _REDUCTIONS}
    try:
        cudnn.deterministic, cudnn.allow_tf32 = False, True
        torch.backends.cuda.enable_cudnn_sdp(True)
        for name in _REDUCTIONS:
            setattr(matmul, name, True)
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32 = before[0]
        torch.backends.cuda.enable_cudnn_sdp(before[1])
        for name, value in reductions.items():
            setattr(matmul, name, value)


DAGUERRE = "daguerre's"
# Besides those of `daguerre.models.diffusers.determinism`, which are set in all but the last.
SETTINGS: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    DAGUERRE: nullcontext,
    "no split-K": partial(split_k, False),
    "flash attention": partial(sdpa_kernel, SDPBackend.FLASH_ATTENTION),
    "memory-efficient attention": partial(sdpa_kernel, SDPBackend.EFFICIENT_ATTENTION),
    "cuDNN attention": partial(sdpa_kernel, SDPBackend.CUDNN_ATTENTION),
    "attention of plain products": partial(sdpa_kernel, SDPBackend.MATH),
    "torch's defaults": torch_defaults,
}
