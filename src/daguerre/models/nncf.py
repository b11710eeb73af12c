"""NNCF without its side effects: telemetry, progress bars, log lines and a second runtime.

All code uses NNCF through this module. NNCF makes an `ov.Core` for each inference, with all
processors; here it gets the process's own, with the configuration of the caller. NNCF is imported
on first use.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

from daguerre.models.openvino import openvino_core, ov

_MAX_LEVEL = logging.ERROR  # it warns about the number of samples


class Samples(Protocol):
    """Arrays for the parameters of a model, in their order; NNCF iterates over them repeatedly."""

    def __iter__(self) -> Any: ...

    def __len__(self) -> int: ...


def quantize(
    model: ov.Model, samples: Samples, config: Mapping[str, str], unquantized: Collection[str]
) -> ov.Model:
    """A copy of the model with int8 products, for which `samples` give the ranges of activations.

    `unquantized` are regular expressions for the start of the names of operations that stay as they
    are. `config` configures the inference of the samples, which is in float32.
    """
    nncf = _silent_nncf(config)
    _make_names_unique(model)
    # Neither of the two brings the outputs closer (bench/LOG.md).
    advanced = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1),
    )
    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(patterns=list(unquantized), validate=False),
        advanced_parameters=advanced,
    )


def _make_names_unique(model: ov.Model) -> None:
    """NNCF finds operations by name, and separates two of the same name only."""
    counts: Counter[str] = Counter()
    for op in model.get_ops():
        name = op.get_friendly_name()
        if number := counts[name]:
            op.set_friendly_name(f"{name}.{number}")
        counts[name] += 1


def _silent_nncf(config: Mapping[str, str]) -> Any:
    logger_class = logging.getLoggerClass()
    import nncf
    from nncf.common.logging import track_progress
    from nncf.openvino import engine

    logging.setLoggerClass(logger_class)
    logging.getLogger(nncf.__name__).setLevel(_MAX_LEVEL)
    track_progress.Progress = _hidden_progress
    engine.ov = SimpleNamespace(Core=functools.partial(_Core, config), Model=ov.Model)
    return nncf


def _hidden_progress(*args: Any, **kwargs: Any) -> Any:
    from rich.progress import Progress

    return Progress(*args, **{**kwargs, "disable": True})


class _Core:
    """What NNCF needs of `ov.Core`."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._config = config

    def compile_model(self, model: ov.Model, device_name: str, **_: Any) -> ov.CompiledModel:
        config = {**self._config, "INFERENCE_PRECISION_HINT": "f32"}
        return openvino_core().compile_model(model, device_name, config)
