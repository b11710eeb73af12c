"""A call of a torch module as the flat inputs of a forward, and back.

Tensors that carry rows become inputs under the name of their place ("added_cond_kwargs.time_ids");
the rest of the call, with a placeholder for each of them, becomes one constant. Knows nothing of
modules, pipelines or jobs. Shapes: R rows, * whatever the module takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from daguerre.engine.forward import Array, Constant, Inputs

CALL = "call"  # the input that holds the constant part; no place in a call has this name alone
# diffusers passes it as one number for all rows where it can: as a row per row, requests at
# different steps fit into one evaluation. The denoisers take both, and give the same bits.
_PER_ROW = frozenset({"timestep"})
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True, slots=True)
class Row:
    """Stands for a tensor with rows."""

    name: str


def pack(arguments: Mapping[str, Any], shared: frozenset[str] = frozenset()) -> Inputs:
    """The inputs of a forward. Raises `TypeError` for an argument that is neither tensor nor plain.

    The first tensor says how many rows there are. What has another first axis, or is named in
    `shared`, is constant, and its content part of the signature.
    """
    rows = _num_rows(arguments)
    tensors: dict[str, Array | Constant] = {}

    def leaf(name: str, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return _plain(name, value)
        if name in _PER_ROW and value.ndim == 0:
            value = value.expand(rows)
        if name in shared or value.ndim == 0 or len(value) != rows:
            return Constant(value, _digest(value))
        # A kernel may be chosen by the layout, and rows of several jobs are always put together
        # in the plain one.
        tensors[name] = value.contiguous()
        return Row(name)

    call = {name: mapped(value, leaf, name) for name, value in arguments.items()}
    return {CALL: Constant(call, _sha256(repr(call).encode())), **tensors}


def unpack(inputs: Inputs) -> dict[str, Any]:
    """The arguments of a call that was packed."""
    call = inputs[CALL]
    assert isinstance(call, Constant), "a forward that is no call. This is a bug."
    arguments: dict[str, Any] = fill(call.value, inputs)
    return arguments


def fill(value: Any, tensors: Mapping[str, Any]) -> Any:
    """The structure with its tensors in place again."""

    def leaf(_: str, held: Any) -> Any:
        if isinstance(held, Row):
            return tensors[held.name]
        return held.value if isinstance(held, Constant) else held

    return mapped(value, leaf)


def taken_out(value: Any) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """A result as a structure without its tensors, and these, in the order of their numbers."""
    tensors: list[torch.Tensor] = []

    def leaf(name: str, held: Any) -> Any:
        if not isinstance(held, torch.Tensor):
            return _plain(name, held)
        tensors.append(held)
        return Row(str(len(tensors) - 1))

    return mapped(value, leaf, "result"), tuple(tensors)


def mapped(value: Any, leaf: Callable[[str, Any], Any], name: str = "") -> Any:
    """The same structure of dicts, lists and tuples with each leaf replaced; the outputs of both
    libraries are dicts that are made by keyword."""
    if isinstance(value, Mapping):
        items = {key: mapped(item, leaf, f"{name}.{key}") for key, item in value.items()}
        return items if type(value) is dict else type(value)(**items)
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, leaf, f"{name}[{i}]") for i, item in enumerate(value))
    return leaf(name, value)


def _num_rows(arguments: Mapping[str, Any]) -> int:
    """Of the first tensor that has any."""
    found: list[int] = []

    def leaf(_: str, value: Any) -> None:
        if isinstance(value, torch.Tensor) and value.ndim:
            found.append(len(value))

    mapped(arguments, leaf)
    return found[0] if found else 0


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}; only tensors and plain values cross over")


def _digest(tensor: torch.Tensor) -> str:
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return _sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
