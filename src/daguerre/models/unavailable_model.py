"""The stand-in for a model that cannot be built, so that the others can be served."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from daguerre.engine.forward import Network
from daguerre.engine.pipeline import Pipeline
from daguerre.params import ImageParams, ModelInfo


def unavailable_info(model_id: str) -> ModelInfo:
    """What is known of a model that was not built."""
    return ModelInfo(model_id, weights_sha256="", created=0)


@dataclass(frozen=True, slots=True)
class UnavailableModel:
    """Implements `daguerre.engine.pipeline.Model`; loading it raises `error`.

    Each try to load it raises the same exception, whose traceback would grow with each.
    """

    info: ModelInfo
    error: Exception
    max_batch_size: Mapping[str, int] = field(default_factory=dict)
    num_bytes: int = 0

    def load(self) -> Mapping[str, Network]:
        raise self.error.with_traceback(None)

    def pipeline(self, params: ImageParams) -> Pipeline:
        raise self.error.with_traceback(None)

    def batch_class(self, params: ImageParams) -> Hashable:
        raise self.error.with_traceback(None)
