"""Environment variables of the numeric runtimes: they can choose kernels and so change bits.

For example `ONEDNN_MAX_CPU_ISA` forbids instructions that the processor has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

_PREFIXES = (
    *("ONEDNN_", "DNNL_", "MKL_", "OMP_", "KMP_", "GOMP_", "OPENBLAS_", "TBB_", "NPY_"),
    *("OV_", "OPENVINO_", "ATEN_", "TORCH_", "PYTORCH_", "TORCHINDUCTOR_", "TRITON_"),
    *("CUBLAS_", "CUDNN_"),
)
_NAMES = {"GLIBC_TUNABLES", "LD_LIBRARY_PATH", "LD_PRELOAD", "NVIDIA_TF32_OVERRIDE"}
# What is printed, where files are, and where Kubernetes runs a Service, such as one named triton:
# no kernel depends on it.
_HARMLESS = re.compile(
    r".+_(VERBOSE|LOGS|DIR|HOME|SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)"
)
# Libraries change the variables of the process while they are imported.
_AT_START = dict(os.environ)


def runtime_variables(environ: Mapping[str, str] = _AT_START) -> dict[str, str]:
    """Name -> value, sorted by name, of the variables in `environ` that are not empty."""
    return {
        name: environ[name]
        for name in sorted(environ)
        if environ[name]
        and (name in _NAMES or name.startswith(_PREFIXES))
        and not _HARMLESS.fullmatch(name)
    }


def runtime_fingerprint() -> list[str]:
    """One word for each variable, for the fingerprint of a network."""
    return [f"{name}={quote(value)}" for name, value in runtime_variables().items()]
