"""Traces a method of torch as an OpenVINO graph, and passes it the tensors of a call."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.diffusers.executors.base import (
    ExecutorError,
    NetworkMethod,
    tensors_in_float32,
)
from daguerre.models.diffusers.executors.structure import output_structure
from daguerre.models.openvino import convert_from_torch, ov

_TRACED_ROWS = 2  # one row could be mistaken for an axis without rows


class _Call(torch.nn.Module):
    """The call as a module whose arguments are its tensors."""

    def __init__(self, method: NetworkMethod, inputs: Inputs) -> None:
        super().__init__()
        self.module = method.module  # registers its weights for the tracer
        self._evaluate, self._inputs = method.evaluate, inputs

    def forward(self, *tensors: torch.Tensor) -> Outputs:
        names = tensor_names(self._inputs)
        return self._evaluate({**self._inputs, **dict(zip(names, tensors, strict=True))})[1]


def trace(method: NetworkMethod, inputs: Inputs) -> ov.Model:
    """Converts the method. The number of rows is dynamic; all other axes are fixed.

    Raises `ExecutorError` for a branch on a value, which a trace would fix to that of the example.
    """
    try:
        output_structure(method, inputs)
    except Exception as error:  # the module's code may raise anything
        raise ExecutorError(f"{method.name} depends on the values of tensors: {error}") from error
    example = with_rows(inputs, _TRACED_ROWS)
    tensors = tuple(example[name] for name in tensor_names(example))
    with warnings.catch_warnings():
        # The tracer warns about each branch on a shape; here all shapes but the rows are fixed.
        warnings.simplefilter("ignore")
        model = convert_from_torch(_Call(method, example), tensors)
    ports = zip(model.inputs, tensors, strict=True)
    model.reshape({port: [-1, *tensor.shape[1:]] for port, tensor in ports})
    return _with_numpy_types(model)


def _with_numpy_types(model: ov.Model) -> ov.Model:
    """Passes bfloat16 as float32, which holds it exactly; numpy has no bfloat16."""
    steps = ov.preprocess.PrePostProcessor(model)
    for ports, step in ((model.inputs, steps.input), (model.outputs, steps.output)):
        for number, port in enumerate(ports):
            if port.get_element_type() == ov.Type.bf16:
                step(number).tensor().set_element_type(ov.Type.f32)
    return steps.build()


def tensor_names(inputs: Inputs) -> list[str]:
    return sorted(name for name, value in inputs.items() if isinstance(value, torch.Tensor))


def with_rows(inputs: Inputs, rows: int) -> dict[str, Any]:
    """The first `rows` rows, repeated if there are fewer."""
    tensors: dict[str, Any] = {name: inputs[name] for name in tensor_names(inputs)}
    indices = torch.arange(rows) % len(next(iter(tensors.values())))
    return {**inputs, **{name: tensor[indices] for name, tensor in tensors.items()}}


def to_arrays(inputs: Inputs) -> list[Any]:
    tensors: dict[str, Any] = tensors_in_float32(inputs)
    return [tensors[name].numpy() for name in tensor_names(inputs)]
