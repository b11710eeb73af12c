"""Reads the trained arrays of a network from OpenVINO's files, with PyTorch's names.

OpenVINO need not be installed. Matrices keep their names in the file, also as int8 with the scales
of their rows (`training.compression`). A bias, or the scale of a
norm, is identified by the operation that uses it, which is named after its module.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

_TYPES = {"f32": np.float32, "f16": np.float16, "i8": np.int8}
# The operation's name -> (module, parameter) of the constant that it takes.
_ROLES = (
    (re.compile(r"__module\.(.+)/aten::linear/Add"), "bias"),
    (re.compile(r"__module\.(.+)/aten::layer_norm/Multiply_1"), "weight"),
    (re.compile(r"__module\.(.+)/aten::layer_norm/Add"), "bias"),
    (re.compile(r"__module\.(.+)/aten::add/Add"), "sum"),  # a parameter added outside any layer
)


def read_parameters(xml: Path) -> dict[str, NDArray[np.float32]]:
    """Name -> array, float32. `MODULE.sum` is what a module adds to its input, summed by OpenVINO
    with the bias of the layer before, in the constant's own shape."""
    net = ElementTree.parse(xml).getroot()
    layers = {layer.get("id", ""): layer for layer in net.iterfind("layers/layer")}
    sources = {
        (edge.get("to-layer"), edge.get("to-port")): layers[edge.get("from-layer", "")]
        for edge in net.iterfind("edges/edge")
    }
    data = np.memmap(xml.with_suffix(".bin"), np.uint8, mode="r")

    def array(layer: ElementTree.Element) -> NDArray[np.float32] | None:
        """Of a constant, also behind its conversion to float32 or multiplied by its scales."""
        if layer.get("type") == "Convert":
            return array(sources[layer.get("id"), "0"])
        if layer.get("type") == "Multiply":
            parts = [array(sources[layer.get("id"), port]) for port in "01"]
            return None if parts[0] is None or parts[1] is None else parts[0] * parts[1]
        facts = layer.find("data")
        if layer.get("type") != "Const" or facts is None or facts.get("element_type") not in _TYPES:
            return None
        start, size = int(facts.get("offset", "")), int(facts.get("size", ""))
        kind = _TYPES[facts.get("element_type", "")]
        shape = [int(n) for n in facts.get("shape", "").split(",") if n.strip()]
        return data[start : start + size].view(kind).reshape(shape).astype(np.float32)

    found: dict[str, NDArray[np.float32]] = {}
    for layer in layers.values():
        name = layer.get("name", "")
        if layer.get("type") in ("Const", "Multiply") and name.startswith("self."):
            value = array(layer)
            if value is not None:
                found[name.removeprefix("self.").removesuffix("_compressed")] = value
        for pattern, role in _ROLES:
            match = pattern.fullmatch(name)
            ports = [port.get("id") for port in layer.iterfind("input/port")] if match else []
            for port in ports:
                value = array(sources[layer.get("id"), port])
                if match and value is not None:
                    found[f"{match[1]}.{role}"] = value
    return found
