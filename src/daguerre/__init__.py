"""daguerre: a self-hosted text-to-image server with a model in the box.

Importing this package loads no network runtime and touches no disk.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
