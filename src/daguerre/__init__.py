"""daguerre: a self-hosted text-to-image server with a bundled model, and its Python API.

Importing this package loads no model, neither numpy nor OpenVINO, and touches no disk: the names
of the Python API are imported from `daguerre.library` on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daguerre.version import __version__

if TYPE_CHECKING:
    from daguerre.library import Image, ImageParams, Model, Step

__all__ = ["Image", "ImageParams", "Model", "Step", "__version__"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'daguerre' has no attribute {name!r}")
    from daguerre import library

    return getattr(library, name)


def __dir__() -> list[str]:
    return __all__
