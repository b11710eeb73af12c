"""OpenVINO's runtime: one for the process, which lives as long."""

from __future__ import annotations

from functools import cache

import openvino as ov


@cache
def core() -> ov.Core:
    """Never ends. The runtime's plugin for processors gives the thread that makes it a stack for
    signals, and takes the memory away when it ends, in whichever thread that is: signals that the
    first one gets later are then written into memory that is somebody else's, or nobody's
    (OpenVINO 2026.4)."""
    return ov.Core()
