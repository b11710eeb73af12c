"""The sampler that the catalog chooses: a scheduler class of diffusers with options.

It is made from the configuration of the checkpoint's own scheduler, as
`Scheduler.from_config(pipeline.scheduler.config, **options)`. torch is imported when a sampler is
checked against its class or made, not before.
"""

from __future__ import annotations

import importlib
import inspect
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daguerre.errors import SettingsError, one_line
from daguerre.models.diffusers import libraries
from daguerre.models.diffusers.component import (
    MAX_SAMPLER_INTEGER,
    UNSEEDED_SAMPLER,
    unseeded_message,
)
from daguerre.validation import Table, Validator, boolean, check_table, enum, int_range

_CLASS = "class"
WORDS = f'a table, such as {{ {_CLASS} = "DPMSolverMultistepScheduler", use_karras_sigmas = true }}'
NOISE, FLOW, EDM = "noise", "flow", "EDM"
_FLOW_MATCH = "FlowMatch"
_SOLVERS = (
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
)
# What a denoiser is trained to predict -> the samplers that can use it.
SAMPLERS: Mapping[str, tuple[str, ...]] = {
    NOISE: (
        "DDIMScheduler",
        "DDPMScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "TCDScheduler",
        *_SOLVERS,
    ),
    FLOW: (
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "FlowMatchLCMScheduler",
        *_SOLVERS,
    ),
    EDM: ("EDMDPMSolverMultistepScheduler", "EDMEulerScheduler"),
}
_CLASSES = enum(*sorted({name for names in SAMPLERS.values() for name in names}))
# The options that turn a solver into one for flow matching.
_FLOW_OPTIONS: Mapping[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
_MISDECLARED = ("sigma_max", "shift_terminal")  # numbers, by diffusers' annotation booleans


@dataclass(frozen=True, slots=True)
class Sampler:
    """A class and the options that the catalog sets, as (name, value)."""

    class_name: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.class_name, *(f"{name}={value}" for name, value in self.options)])


def read(where: str, table: Table) -> Sampler:
    """Parses the catalog's table; `where` names it in a `SettingsError`."""
    class_name = table.get(_CLASS)
    if class_name == UNSEEDED_SAMPLER:
        raise SettingsError(f"{where}: {unseeded_message()}")
    if not _CLASSES.accepts(class_name):
        given = f"is {class_name!r}" if _CLASS in table else "is missing"
        raise SettingsError(f"{where}: {_CLASS} {given}; it must be {_CLASSES.rule}")
    options = {name: value for name, value in table.items() if name != _CLASS}
    return Sampler(
        str(class_name),
        tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in sorted(options.items())
        ),
    )


def check_kind(where: str, sampler: Sampler, own: Mapping[str, Any]) -> None:
    """Raises `SettingsError` if the denoiser predicts something else than the sampler expects.

    `own` is the configuration of the checkpoint's scheduler, with its class as `_class_name`.
    """
    kind = _kind(own)
    if sampler.class_name not in SAMPLERS[kind]:
        raise SettingsError(
            f"{where}: {_CLASS} is {sampler.class_name!r}, but the checkpoint's own sampler is"
            f" {own['_class_name']}, for a denoiser of the kind {kind!r}; it must be one of"
            f" {', '.join(SAMPLERS[kind])}"
        )
    if kind == FLOW:
        _check_flow(where, sampler, own)


def _kind(config: Mapping[str, Any]) -> str:
    name = config["_class_name"]
    if name in SAMPLERS[EDM]:
        return EDM
    is_flow = _FLOW_MATCH in name or config.get("prediction_type") == "flow_prediction"
    return FLOW if is_flow else NOISE


def _check_flow(where: str, sampler: Sampler, own: Mapping[str, Any]) -> None:
    """The two kinds of samplers for flow matching do not read each other's options."""
    options, is_matcher = dict(sampler.options), _FLOW_MATCH in sampler.class_name
    was_matcher = _FLOW_MATCH in own["_class_name"]
    given = options if is_matcher != was_matcher else {**own, **options}
    needed = {} if is_matcher else dict(_FLOW_OPTIONS)
    lacking = [name for name, value in needed.items() if given.get(name) != value]
    if lacking:
        wanted = ", ".join(f"{name} = {_toml(needed[name])}" for name in lacking)
        raise SettingsError(
            f"{where}: the denoiser is trained for flow matching; with {sampler.class_name} add"
            f" {wanted}"
        )
    shift, its_shift = ("shift", "flow_shift") if is_matcher else ("flow_shift", "shift")
    if is_matcher != was_matcher and shift not in options and not given.get("use_dynamic_shifting"):
        raise SettingsError(
            f"{where}: {shift} is missing; {sampler.class_name} does not read {its_shift} ="
            f" {own.get(its_shift, 1.0)} of the checkpoint's own sampler; add {shift}"
        )


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def check_options(where: str, sampler: Sampler) -> None:
    """Raises `SettingsError` for an option that the class lacks, or a value of another type."""
    options = {name: _validator(name, hint) for name, hint in _hints(sampler.class_name).items()}
    allowed = {name: validator for name, validator in options.items() if validator is not None}
    check_table(where, dict(sampler.options), allowed)


def make(where: str, sampler: Sampler, own: Any) -> Any:
    """The scheduler, from the configuration of the pipeline's `own`.

    Raises `SettingsError` if the class refuses the options.
    """
    options = {
        name: list(value) if isinstance(value, tuple) else value for name, value in sampler.options
    }
    try:
        return _class(sampler.class_name).from_config(own.config, **options)
    except Exception as error:  # the classes raise errors of several kinds
        raise SettingsError(
            f"{where}: {sampler.class_name} refuses the options: {one_line(error)}"
        ) from None


def _class(name: str) -> Any:
    libraries.prepare()
    return getattr(importlib.import_module("diffusers"), name)


def _hints(class_name: str) -> dict[str, Any]:
    """Option -> its annotation."""
    init = _class(class_name).__init__
    hints = typing.get_type_hints(init)
    return {name: hints[name] for name in inspect.signature(init).parameters if name in hints}


def _validator(name: str, hint: Any) -> Validator | None:
    """The rule for an annotation; None if no TOML value fits."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    parts = typing.get_args(hint) if is_union else (hint,)
    for part in (float,) if name in _MISDECLARED else parts:
        if typing.get_origin(part) is typing.Literal:
            return enum(*typing.get_args(part))
        if part in _TYPES:
            return _TYPES[part]
    return None


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(typing.cast(float, value))


_INTEGER = int_range(0, MAX_SAMPLER_INTEGER)
_TYPES: Mapping[Any, Validator] = {
    bool: boolean,
    int: _INTEGER,
    float: Validator("a number", _is_number),
    str: Validator("text", lambda value: isinstance(value, str)),
    list[int]: Validator(
        f"a list in which each is {_INTEGER.rule}",
        lambda value: isinstance(value, tuple) and all(map(_INTEGER.accepts, value)),
    ),
    list[float]: Validator(
        "a list of numbers",
        lambda value: isinstance(value, tuple) and all(map(_is_number, value)),
    ),
}
