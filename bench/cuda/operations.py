"""Finds the operations of a network whose bits for a job depend on the other jobs of a batch.

Each operation of a batch is repeated on the rows of the first job. Its inputs are then equal, so
a difference does not spread to later operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Operation -> the names of its leading arguments, whose axis 0 has the rows.
_ATTENTION = ("query", "key", "value", "attn_mask")
_BATCHED: Mapping[Callable[..., Any], tuple[str, ...]] = {
    functional.linear: ("input",),
    functional.conv2d: ("input",),
    functional.group_norm: ("input",),
    functional.layer_norm: ("input",),
    functional.rms_norm: ("input",),
    functional.scaled_dot_product_attention: _ATTENTION,
}


class RowCheck(TorchFunctionMode):
    """Checks each operation of a batch; the network runs inside the `with` block.

    `calls` counts the calls of each operation. `inexact` counts those whose bits differ, by
    operation and shapes.
    """

    def __init__(self, num_jobs: int) -> None:
        super().__init__()
        self.num_jobs = num_jobs
        self.calls = Counter[str]()
        self.inexact = Counter[tuple[str, str]]()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        names = _BATCHED.get(func)
        if names is None or len(result) % self.num_jobs:
            return result
        total, rows = len(result), len(result) // self.num_jobs

        def first_job(name: str, value: Any) -> Any:
            if name not in names or not torch.is_tensor(value) or len(value) != total:
                return value
            return value[:rows].clone()  # the alignment of a view may select another kernel

        alone = func(
            *(first_job(name, value) for name, value in zip(names, args, strict=False)),
            *args[len(names) :],
            **{name: first_job(name, value) for name, value in kwargs.items()},
        )
        self.calls[func.__name__] += 1
        if not torch.equal(alone, result[:rows]):
            given = (*args, *kwargs.values())
            shapes = (str(tuple(value.shape)) for value in given if torch.is_tensor(value))
            self.inexact[func.__name__, " by ".join(islice(shapes, 2))] += 1
        return result
