"""OpenVINO without telemetry: its modules, the process-wide runtime, conversion from torch.

All code imports OpenVINO from here. With the package `openvino_telemetry`, `import openvino` sends
a report over the network from a forked process and writes to the user's home directory.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

# The package's import now raises ImportError, and OpenVINO uses its own stub instead. The package
# could be switched off otherwise only by a file in the home directory.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402

if TYPE_CHECKING:
    import torch

__all__ = [
    "convert_from_torch",
    "effective_num_threads",
    "openvino_core",
    "opset13",
    "ov",
    "supports_bfloat16",
]


@cache
def openvino_core() -> ov.Core:
    """The only `ov.Core` of the process, kept until the process ends."""
    # The CPU plugin installs an alternate signal stack in the thread that creates it, and frees it
    # with the plugin: later signals would write into freed memory (OpenVINO 2026.4).
    return ov.Core()


@cache
def supports_bfloat16() -> bool:
    """Whether OpenVINO can multiply bfloat16 matrices on this CPU.

    Its list of capabilities does not tell: it ignores `ONEDNN_MAX_CPU_ISA` (OpenVINO 2026.4).
    """
    x, weights = opset13.parameter([2, 64], ov.Type.f32), opset13.constant([[0.0] * 64] * 64)
    model = ov.Model([opset13.matmul(x, opset13.convert(weights, "f32"), False, True)], [x])
    try:
        openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError:
        return False
    return True


def effective_num_threads(core: ov.Core, config: Mapping[str, str]) -> int:
    """Number of threads that OpenVINO uses with `config`; it affects the output bits.

    In latency mode OpenVINO uses one thread per core and never more than the cores available,
    whatever was requested. Only the runtime knows how it counts, so a trivial model is compiled.
    """
    parameter = opset13.parameter([1], ov.Type.f32)
    model = ov.Model([opset13.relu(parameter)], [parameter])
    compiled = core.compile_model(model, "CPU", dict(config))
    return int(compiled.get_property("INFERENCE_NUM_THREADS"))


def convert_from_torch(module: torch.nn.Module, example: Sequence[torch.Tensor]) -> ov.Model:
    """Traces `module(*example)` and converts the trace; constants keep the shapes of `example`."""
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    decoder = TorchScriptPythonDecoder(
        module, example_input=tuple(example), trace_kwargs={"check_trace": False}
    )
    frontend = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))
