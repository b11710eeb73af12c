"""torch.compile executor: compiles regions of a module, one shape at a time.

Regions are the repeated blocks that diffusers names, or else the module's own children. They are
installed only during a call, so the module is eager at any other time. The first output of each
shape is compared with the eager one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from importlib import metadata
from typing import Any

import torch

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.diffusers.executors.base import (
    Call,
    ExecutionTarget,
    Executor,
    ExecutorError,
    NetworkMethod,
    ShapeKey,
    assert_close,
)
from daguerre.storage.artifact_cache import Artifact

logger = logging.getLogger(__name__)

# Compiled variants per region. Past torch's own limit of 8 it would silently run eagerly, and so
# change the bits.
_MAX_VARIANTS = 4096


class TorchCompileExecutor(Executor):
    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        super().__init__(method, target)
        self._store, self._artifact = target.store, _configure(target)
        self.fingerprint = f"torch.compile {_compiler(target.device)}"
        self._regions = _regions(method.module)

    def _build(self, key: ShapeKey, inputs: Inputs) -> Generator[None, None, Call]:
        yield
        logger.info("compiling %s for %d rows; this happens once per process", *key)
        expected = self._run_reference(inputs)
        yield
        if self._store and self._artifact:
            self._store.touch(self._artifact)
        assert_close(self._run_compiled(inputs), expected)
        return self._run_compiled

    def _run_compiled(self, inputs: Inputs) -> Outputs:
        for module, call in self._regions.items():
            module._compiled_call_impl = call
        try:
            return self._run_eagerly(inputs)
        finally:
            for module in self._regions:
                module._compiled_call_impl = None

    def release(self) -> None:
        super().release()
        self._regions = {}


def _configure(target: ExecutionTarget) -> Artifact | None:
    """Configures torch's compiler for the process; returns the artifact that caches its work."""
    artifact = None
    if target.store is not None:  # torch's default is a predictable path under /tmp
        target.store.evict()
        artifact = target.store.open_dir("torch")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(artifact.path)
    from torch._dynamo import config as dynamo
    from torch._inductor import config as inductor

    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = _MAX_VARIANTS
    dynamo.fail_on_recompile_limit_hit = True
    inductor.deterministic = True  # no timing selects a kernel that changes bits
    return artifact


def _compiler(device: torch.device) -> str:
    """Name of the compiler for the generated kernels; raises if there is none."""
    if device.type == "cuda":
        return f"triton {metadata.version('triton')}"
    from torch._inductor import cpp_builder

    version = cpp_builder.get_compiler_version_info(cpp_builder.get_cpp_compiler())
    return f"c++ {hashlib.sha256(version.encode()).hexdigest()[:16]}"


def _regions(module: Any) -> Mapping[torch.nn.Module, Callable[..., Any]]:
    """Module -> its compiled call, which compiles on the first call with each shape."""
    names = getattr(module, "_repeated_blocks", None) or ()
    if any(type(child).__name__ in names for child in module.modules()):
        module.compile_repeated_blocks(dynamic=False)
    else:
        for child in _compilable_children(module):
            child.compile(dynamic=False)
    calls = {child: child._compiled_call_impl for child in module.modules()}
    regions = {child: call for child, call in calls.items() if call is not None}
    for child in regions:
        child._compiled_call_impl = None
    if not regions:
        raise ExecutorError(f"{type(module).__name__} has no parts that torch.compile supports")
    return regions


def _compilable_children(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Children, and elements of lists of children, because a list is never called.

    torch's own layers are left out: each is a single kernel, which its compiler takes only as part
    of a larger module.
    """
    for child in module.children():
        children = child if isinstance(child, torch.nn.ModuleList) else (child,)
        yield from (part for part in children if not type(part).__module__.startswith("torch."))
