"""Packs the call of a torch module into the flat inputs of a forward, and unpacks it.

Tensors with rows become inputs named by their path in the call ("added_cond_kwargs.time_ids"). The
rest of the call, with a slot for each of these tensors, becomes one constant. Shapes: R rows, *
whatever the module takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from daguerre.engine.forward import Array, Inputs, OpaqueConstant
from daguerre.models.diffusers.family import PLAIN, InputLayout

# Names of inputs that are not arguments of the call.
CALL_INPUT = "call"  # its constant part
CACHE_STATE_INPUT = "cache_state"  # the request's state of a step cache, if there is one
# diffusers passes one number for all rows where it can. One per row lets requests at different
# steps share a batch; the denoisers accept both, with the same bits.
_PER_ROW = frozenset({"timestep"})
_MIN_PADDED = 64  # tokens
_SCALARS = (bool, int, float, str, type(None))
# A language model's keys and values for the next token, which no pipeline reads.
_DROPPED_OUTPUTS = ".past_key_values"


@dataclass(frozen=True, slots=True)
class TensorSlot:
    """Placeholder of a tensor, whose `axis` has the rows."""

    name: str
    axis: int = 0


@dataclass(frozen=True, slots=True)
class RaggedSlot:
    """Placeholder of a list with one tensor per row.

    The list is stored as one tensor, padded to the longest, and the lengths as "<name>.lengths".
    `padded_lengths` are those that the network pads to; empty in a result, which needs no padding.
    """

    name: str
    padded_lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RepeatedTensor:
    """A tensor with rows that is equal in all calls of a batch."""

    constant: OpaqueConstant


def pack_call(arguments: Mapping[str, Any], layout: InputLayout = PLAIN) -> Inputs:
    """Packs the arguments into the inputs of a forward.

    The first tensor determines the number of rows. Tensors with another first axis, and those that
    `layout` calls broadcast or value-dependent, are constants: their content is part of the
    signature. Raises `TypeError` for an argument that is neither a tensor nor a scalar.
    """
    rows = _num_rows(arguments, layout)
    tensors: dict[str, Array | OpaqueConstant] = {}

    def pack_leaf(name: str, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return _check_scalar(name, value)
        if name in _PER_ROW and value.ndim == 0:
            value = value.expand(rows)
        if name in layout.broadcast or value.ndim == 0 or len(value) != rows:
            return OpaqueConstant(value, _digest(value))
        if name in layout.value_dependent:
            return RepeatedTensor(OpaqueConstant(value, _digest(value)))
        # A kernel may depend on the strides, and a batch of several requests is contiguous.
        tensors[name] = value.contiguous()
        return TensorSlot(name)

    call: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in layout.ragged:
            call[name], padded = _pack_ragged(name, value, layout.ragged[name])
            tensors |= padded
        else:
            call[name] = tree_map(value, pack_leaf, name)
    return {CALL_INPUT: OpaqueConstant(call, _sha256(repr(call).encode())), **tensors}


def pad_masked(arguments: Mapping[str, Any], layout: InputLayout) -> dict[str, Any]:
    """Pads the masked inputs to a length that is a power of two, so that few shapes are compiled.

    The mask excludes what is added, so the outputs change by rounding only.
    """
    padded = dict(arguments)
    for name, mask_name in layout.masked.items():
        tokens = arguments[name]  # (R, L, *)
        mask = arguments.get(mask_name)  # (R, L), or None if all count
        if mask is None:
            mask = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        length = tokens.shape[1]
        num_added = max(_MIN_PADDED, 1 << (length - 1).bit_length()) - length
        padded[name] = torch.nn.functional.pad(tokens, (0, 0, 0, num_added))
        padded[mask_name] = torch.nn.functional.pad(mask, (0, num_added))
    return padded


def unpack_call(inputs: Inputs) -> dict[str, Any]:
    """Returns the arguments that `pack_call` packed."""
    arguments: dict[str, Any] = tree_unflatten(call_constant(inputs).value, inputs)
    return arguments


def call_constant(inputs: Inputs) -> OpaqueConstant:
    """The constant part of a packed call."""
    constant = inputs[CALL_INPUT]
    assert isinstance(constant, OpaqueConstant), "the forward is not a packed call. This is a bug."
    return constant


def tree_flatten(result: Any, layout: InputLayout = PLAIN) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """Splits a module's result into its structure and its tensors; slots are named "0", "1", ...

    If the layout has ragged inputs, lists in the result hold one tensor per row, of equal shape.
    """
    tensors: list[torch.Tensor] = []

    def flatten_leaf(name: str, value: Any) -> Any:
        if isinstance(value, list):
            tensors.append(torch.stack(value))
            return RaggedSlot(str(len(tensors) - 1))
        if name.endswith(_DROPPED_OUTPUTS):
            return None
        if not isinstance(value, torch.Tensor):
            return _check_scalar(name, value)
        tensors.append(value.movedim(layout.output_axis, 0))
        return TensorSlot(str(len(tensors) - 1), layout.output_axis)

    structure = tree_map(result, flatten_leaf, "result", lists_are_leaves=bool(layout.ragged))
    return structure, tuple(tensors)


def tree_unflatten(structure: Any, tensors: Mapping[str, Any]) -> Any:
    """Puts the tensors back into the slots of a structure."""

    def unflatten_leaf(_: str, leaf: Any) -> Any:
        if isinstance(leaf, TensorSlot):
            found = tensors[leaf.name]
            return found.movedim(0, leaf.axis) if leaf.axis else found
        if isinstance(leaf, RaggedSlot):
            return _unpack_ragged(leaf, tensors)
        if isinstance(leaf, RepeatedTensor):
            value: torch.Tensor = leaf.constant.value
            rows = next(len(t) for t in tensors.values() if isinstance(t, torch.Tensor))
            return value.repeat(rows // len(value), *(1 for _ in value.shape[1:]))
        return leaf.value if isinstance(leaf, OpaqueConstant) else leaf

    return tree_map(structure, unflatten_leaf)


def tree_map(
    value: Any,
    convert: Callable[[str, Any], Any],
    name: str = "",
    lists_are_leaves: bool = False,
) -> Any:
    """Replaces each leaf by `convert(path, leaf)` and keeps mappings, lists and tuples.

    The output classes of diffusers and transformers are mappings that take keywords.
    """
    if isinstance(value, Mapping):
        items = {
            key: tree_map(item, convert, f"{name}.{key}", lists_are_leaves)
            for key, item in value.items()
        }
        return items if type(value) is dict else type(value)(**items)
    if isinstance(value, tuple) or (isinstance(value, list) and not lists_are_leaves):
        return type(value)(
            tree_map(item, convert, f"{name}[{index}]", lists_are_leaves)
            for index, item in enumerate(value)
        )
    return convert(name, value)


def _pack_ragged(
    name: str, value: Sequence[torch.Tensor], multiple: int
) -> tuple[RaggedSlot, dict[str, torch.Tensor]]:
    lengths = [len(tensor) for tensor in value]
    slot = RaggedSlot(name, tuple(-(-length // multiple) * multiple for length in lengths))
    padded = value[0].new_zeros((len(value), max(slot.padded_lengths), *value[0].shape[1:]))
    for row, tensor in zip(padded, value, strict=True):
        row[: len(tensor)] = tensor
    return slot, {name: padded, f"{name}.lengths": torch.tensor(lengths)}


def _unpack_ragged(slot: RaggedSlot, tensors: Mapping[str, Any]) -> list[torch.Tensor]:
    tensor = tensors[slot.name]
    if not slot.padded_lengths:
        return list(tensor.unbind())
    lengths = tensors[f"{slot.name}.lengths"].tolist()
    return [row[:length] for row, length in zip(tensor, lengths, strict=True)]


def _num_rows(arguments: Mapping[str, Any], layout: InputLayout) -> int:
    """Length of the first ragged list, or else of the first tensor with an axis."""
    for name in layout.ragged:
        return len(arguments[name])
    leaves: list[Any] = []
    tree_map(arguments, lambda _, leaf: leaves.append(leaf))
    tensors = (leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
    return next((len(tensor) for tensor in tensors if tensor.ndim), 0)


def _check_scalar(name: str, value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return value
    raise TypeError(
        f"{name} is a {type(value).__name__}; a packed call holds only tensors and scalars"
    )


def tensor_bytes(tensor: Any) -> bytes:
    return bytes(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def _digest(tensor: torch.Tensor) -> str:
    return _sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + tensor_bytes(tensor))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
