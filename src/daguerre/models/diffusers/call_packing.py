"""A call of a torch module as the flat inputs of a forward, and back.

Tensors that carry rows become inputs under the name of their place ("added_cond_kwargs.time_ids");
the rest of the call, with a placeholder for each of them, becomes one constant. Knows nothing of
modules, pipelines or jobs. Shapes: R rows, * whatever the module takes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from daguerre.engine.forward import Array, Inputs, OpaqueConstant
from daguerre.models.diffusers.families import PLAIN, InputLayout

CALL_INPUT = (
    "call"  # the input that holds the constant part; no place in a call has this name alone
)
CACHE_STATE_INPUT = (
    "memory"  # what a cache remembers of the request, where there is one; nor this one
)
# diffusers passes it as one number for all rows where it can: as a row per row, requests at
# different steps fit into one evaluation. The denoisers take both, and give the same bits.
_PER_ROW = frozenset({"timestep"})
_PLAIN = (bool, int, float, str, type(None))
_LEAVES = (torch.Tensor, *_PLAIN)  # most of a call: they are not asked whether they are a mapping
# What a language model keeps for the next word; the pipelines ask for no second one.
_DROPPED_OUTPUTS = ".past_key_values"


@dataclass(frozen=True, slots=True)
class TensorSlot:
    """Stands for a tensor with rows."""

    name: str


@dataclass(frozen=True, slots=True)
class RaggedSlot:
    """Stands for a list with a tensor per row: one tensor, filled up to the longest, and another of
    the lengths. `filled` are the lengths that the network will make of them."""

    name: str
    filled: tuple[int, ...]

    @property
    def lengths(self) -> str:
        return f"{self.name}.lengths"


@dataclass(frozen=True, slots=True)
class RepeatedTensor:
    """A tensor with rows that is the same in all calls that share."""

    constant: OpaqueConstant


def pack_call(arguments: Mapping[str, Any], layout: InputLayout = PLAIN) -> Inputs:
    """The inputs of a forward. Raises `TypeError` for an argument that is neither tensor nor plain.

    The first tensor says how many rows there are. What has another first axis, or is shared or
    decisive by `layout`, is constant, and its content part of the signature.
    """
    rows = _num_rows(arguments, layout)
    tensors: dict[str, Array | OpaqueConstant] = {}

    def leaf(name: str, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return _plain(name, value)
        if name in _PER_ROW and value.ndim == 0:
            value = value.expand(rows)
        if name in layout.broadcast or value.ndim == 0 or len(value) != rows:
            return OpaqueConstant(value, _digest(value))
        if name in layout.value_dependent:
            return RepeatedTensor(OpaqueConstant(value, _digest(value)))
        # A kernel may be chosen by the layout, and rows of several jobs are always put together
        # in the plain one.
        tensors[name] = value.contiguous()
        return TensorSlot(name)

    call: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in layout.ragged:
            call[name], listed = _rows(name, value, layout.ragged[name])
            tensors |= listed
        else:
            call[name] = tree_map(value, leaf, name)
    return {CALL_INPUT: OpaqueConstant(call, _sha256(repr(call).encode())), **tensors}


def unpack_call(inputs: Inputs) -> dict[str, Any]:
    """The arguments of a call that was packed."""
    call = inputs[CALL_INPUT]
    assert isinstance(call, OpaqueConstant), "a forward that is no call. This is a bug."
    arguments: dict[str, Any] = tree_unflatten(call.value, inputs)
    return arguments


def without_cache_state(inputs: Inputs) -> Inputs:
    """Without what a cache remembers."""
    return {name: value for name, value in inputs.items() if name != CACHE_STATE_INPUT}


def tree_unflatten(value: Any, tensors: Mapping[str, Any]) -> Any:
    """The structure with its tensors in place again."""

    def leaf(_: str, held: Any) -> Any:
        if isinstance(held, TensorSlot):
            return tensors[held.name]
        if isinstance(held, RaggedSlot):
            return _list(held, tensors)
        if isinstance(held, RepeatedTensor):
            return _tile(held.constant.value, tensors)
        return held.value if isinstance(held, OpaqueConstant) else held

    return tree_map(value, leaf)


def tree_flatten(value: Any, layout: InputLayout = PLAIN) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """A result as a structure without its tensors, and these, in the order of their numbers. Lists
    are of rows where those of the call are."""
    tensors: list[torch.Tensor] = []

    def leaf(name: str, held: Any) -> Any:
        if isinstance(held, list):
            tensors.append(torch.stack(held))
            return RaggedSlot(str(len(tensors) - 1), ())
        if name.endswith(_DROPPED_OUTPUTS):
            return None
        if not isinstance(held, torch.Tensor):
            return _plain(name, held)
        tensors.append(held)
        return TensorSlot(str(len(tensors) - 1))

    is_leaf = _is_list if layout.ragged else _is_nothing
    return tree_map(value, leaf, "result", is_leaf), tuple(tensors)


def _is_nothing(value: Any) -> bool:
    return False


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def tree_map(
    value: Any,
    leaf: Callable[[str, Any], Any],
    name: str = "",
    is_leaf: Callable[[Any], bool] = _is_nothing,
) -> Any:
    """The same structure of dicts, lists and tuples with each leaf replaced; the outputs of both
    libraries are dicts that are made by keyword."""
    if isinstance(value, _LEAVES) or is_leaf(value):
        return leaf(name, value)
    if isinstance(value, Mapping):
        items = {key: tree_map(item, leaf, f"{name}.{key}", is_leaf) for key, item in value.items()}
        return items if type(value) is dict else type(value)(**items)
    if isinstance(value, list | tuple):
        each = enumerate(value)
        return type(value)(tree_map(item, leaf, f"{name}[{i}]", is_leaf) for i, item in each)
    return leaf(name, value)


def _rows(
    name: str, value: Sequence[torch.Tensor], multiple: int
) -> tuple[RaggedSlot, dict[str, torch.Tensor]]:
    lengths = [len(tensor) for tensor in value]
    rows = RaggedSlot(name, tuple(-(-length // multiple) * multiple for length in lengths))
    filled = value[0].new_zeros((len(value), max(rows.filled), *value[0].shape[1:]))
    for row, tensor in zip(filled, value, strict=True):
        row[: len(tensor)] = tensor
    return rows, {name: filled, rows.lengths: torch.tensor(lengths)}


def _list(rows: RaggedSlot, tensors: Mapping[str, Any]) -> list[torch.Tensor]:
    tensor = tensors[rows.name]
    if not rows.filled:  # of a result: nothing was filled up
        return list(tensor.unbind())
    lengths = tensors[rows.lengths].tolist()
    return [row[:length] for row, length in zip(tensor, lengths, strict=True)]


def _tile(value: torch.Tensor, tensors: Mapping[str, Any]) -> torch.Tensor:
    """As often as there are calls; each has as many rows as the value."""
    total = next(len(held) for held in tensors.values() if isinstance(held, torch.Tensor))
    return value.repeat(total // len(value), *(1 for _ in value.shape[1:]))


def _num_rows(arguments: Mapping[str, Any], layout: InputLayout) -> int:
    """Of the first list of rows, or else of the first tensor that has any."""
    for name in layout.ragged:
        return len(arguments[name])
    tensor = next(_tensors(arguments), None)
    return 0 if tensor is None else len(tensor)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Those with rows, as they come."""
    if isinstance(value, torch.Tensor):
        if value.ndim:
            yield value
    elif isinstance(value, Mapping):
        yield from itertools.chain.from_iterable(map(_tensors, value.values()))
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(_tensors, value))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}; only tensors and plain values cross over")


def _digest(tensor: torch.Tensor) -> str:
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return _sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
