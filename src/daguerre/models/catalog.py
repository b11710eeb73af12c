"""Which model ids can be served, and what serves them.

Today one: the model in the box, under the id that applications written for the managed service
send. Reading the catalog loads no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.params import ModelInfo

if TYPE_CHECKING:
    from daguerre.config import Settings
    from daguerre.engine.pipeline import Model

DEFAULT_MODEL = "stable-image-ultra"


def models(settings: Settings) -> Sequence[Model]:
    """Every model that this server offers, not yet loaded."""
    return (
        EmbeddedModel(
            DEFAULT_MODEL,
            folder=WEIGHTS,
            num_threads=settings.num_threads,
            precision=settings.precision,
            num_inference_steps=settings.num_inference_steps,
        ),
    )


def available() -> tuple[ModelInfo, ...]:
    """What can be served, for listings."""
    return (EmbeddedModel(DEFAULT_MODEL).info,)
