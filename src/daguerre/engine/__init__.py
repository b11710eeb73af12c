"""The engine: pipelines that ask for forwards, a scheduler that lets them share, and the loop.

Importing this package loads no model and no runtime; `build_engine` makes the engine the settings
describe, and the engine loads the models when it is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.engine import ThreadEngine

__all__ = ["build_engine"]


def build_engine(settings: Settings, only: str = "") -> ThreadEngine:
    """Of all models of the catalog, or of `only` one."""
    from daguerre.engine.engine import ThreadEngine
    from daguerre.models import catalog

    return ThreadEngine(
        catalog.models(settings, only),
        max_waiting=settings.max_waiting,
        max_running=settings.max_running,
        certificates=settings.home_folder() / "certificates.json",
    )
