"""A method with its module compiled by torch (`torch.compile`): by regions, one shape at a time.

Regions are the blocks that diffusers names for it, else the module's own parts. They are in place
while a call lasts, so the module is as it was at any other time. Each shape's first output is
compared with the eager one. Knows nothing of families, requests or what an input means.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.diffusers.executors.base import (
    ExecutionTarget,
    ExecutorError,
    NetworkMethod,
    ShapeKey,
    ShapeKeyCache,
    assert_close,
)
from daguerre.storage.artifact_cache import Artifact

logger = logging.getLogger(__name__)

# Variants of a region: sizes, widths inside the network, numbers of rows. Past its own limit of
# eight torch would run eagerly without a word, and so with other bits.
_MAX_VARIANTS = 4096


class TorchCompileExecutor:
    """Implements `daguerre.models.diffusers.executors.base.Executor`."""

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        self._store, self._work = target.store, _configure(target)
        self.fingerprint = f"torch.compile {_compiler(target.device)}"
        self._method = method
        self._regions = _regions(method.module)
        self._shape = ShapeKeyCache()
        self._compared: set[ShapeKey] = set()

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        key = self._shape(inputs)
        if key in self._compared:
            return
        yield
        logger.info("compiling %s for %d rows: once in this process", *key)
        expected = self._method.evaluate(inputs)[1]
        yield
        if self._store and self._work:
            self._store.touch(self._work)
        assert_close(self._run(inputs), expected)
        self._compared.add(key)

    def __call__(self, inputs: Inputs) -> Outputs:
        for _ in self.prepare(inputs):
            pass
        return self._run(inputs)

    def release(self) -> None:
        self._compared.clear()
        self._regions = {}

    def _run(self, inputs: Inputs) -> Outputs:
        with _in_place(self._regions):
            return self._method.evaluate(inputs)[1]


def _configure(target: ExecutionTarget) -> Artifact | None:
    """For the whole process: nothing else in it compiles. Returns where torch keeps its work."""
    work = None
    if target.store is not None:  # torch's own choice is a folder under /tmp with a known name
        target.store.evict()
        work = target.store.open_dir("torch")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(work.path)
    from torch._dynamo import config as tracing
    from torch._inductor import config as kernels

    tracing.recompile_limit = tracing.accumulated_recompile_limit = _MAX_VARIANTS
    tracing.fail_on_recompile_limit_hit = True
    if hasattr(kernels, "deterministic"):
        kernels.deterministic = True  # no kernel is chosen by its time where that changes bits
    elif target.device.type == "cuda":
        raise RuntimeError(f"torch {torch.__version__} chooses kernels by their time")
    return work


def _compiler(device: torch.device) -> str:
    """What makes machine code of the kernels; raises where there is none."""
    if device.type == "cuda":
        return f"triton {metadata.version('triton')}"
    from torch._inductor import cpp_builder

    told = cpp_builder.get_compiler_version_info(cpp_builder.get_cpp_compiler())
    return f"c++ {hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _regions(module: Any) -> Mapping[torch.nn.Module, Callable[..., Any]]:
    """Module -> its compiled call; compiled when it is first called, for each shape anew."""
    names = getattr(module, "_repeated_blocks", None) or ()
    if any(type(part).__name__ in names for part in module.modules()):
        module.compile_repeated_blocks(dynamic=False)
    else:
        for part in _parts(module):
            part.compile(dynamic=False)
    found = {part: part._compiled_call_impl for part in module.modules()}
    regions = {part: call for part, call in found.items() if call is not None}
    for part in regions:
        part._compiled_call_impl = None
    if not regions:
        raise ExecutorError(f"{type(module).__name__} has no parts that torch.compile takes")
    return regions


def _parts(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Of a list its elements, since a list is never called. torch's own layers are one kernel each,
    and its compiler takes them only inside of others."""
    for child in module.children():
        children = child if isinstance(child, torch.nn.ModuleList) else (child,)
        yield from (part for part in children if not type(part).__module__.startswith("torch."))


@contextmanager
def _in_place(regions: Mapping[torch.nn.Module, Callable[..., Any]]) -> Iterator[None]:
    for part, call in regions.items():
        part._compiled_call_impl = call
    try:
        yield
    finally:
        for part in regions:
            part._compiled_call_impl = None
