"""Type and shape inference of one node, by onnx's own schemas (about ten microseconds a node)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import shape_inference

from dlarewrite.ir.types import read_type, tensor_type
from dlarewrite.ir.view import Array, constant_value

Inferred = tuple[Any, "list[int | str] | None"]
"""(element type as numpy dtype or None, dims or None), one per output."""

_SMALL = 4096
"""Integers up to this many elements are shown to inference (shapes, axes, pads …); weights are not."""
_FEW = 64
"""Floats up to this many elements are (scales, the bounds of a Range)."""


def is_shown(dtype: Any, elements: int) -> bool:
    """Whether a value of this type and size may bear on shapes."""
    if dtype is None or isinstance(dtype, int):
        return False
    kind = np.dtype(dtype).kind
    return elements <= (_FEW if kind == "f" else _SMALL) and kind in "iufb"


def infer(
    node: gs.Node,
    opset: int,
    bodies: onnx.NodeProto | None = None,
    known: Mapping[int, Array] | None = None,
) -> list[Inferred]:
    """What the node's outputs are, or (None, None) each where onnx has no schema or cannot tell.

    ``bodies`` is the original proto of a node with subgraphs; ``known`` holds values of variables that analysis found
    out, by the tensor's ``id``. Raises :class:`onnx.shape_inference.InferenceError`
    where inputs contradict the operator's schema.
    """
    unknown: list[Inferred] = [(None, None)] * len(node.outputs)
    domain = node.domain or ""
    if domain not in ("", "ai.onnx") or bodies is not None:
        return unknown
    try:
        schema = onnx.defs.get_schema(node.op, opset, "")
    except onnx.defs.SchemaError:
        return unknown
    proto = onnx.NodeProto(op_type=node.op, domain=domain)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for index, tensor in enumerate(node.inputs):
        if not tensor.name:
            proto.input.append("")
            continue
        proto.input.append(f"i{index}")
        if tensor.dtype is None:
            return unknown
        types[f"i{index}"] = tensor_type(tensor.dtype, tensor.shape)
        if isinstance(tensor, gs.Constant) and not is_shown(tensor.dtype, math.prod(tensor.shape)):
            continue
        value = constant_value(tensor) if known is None or id(tensor) not in known else known[id(tensor)]
        if value is not None and is_shown(value.dtype, value.size):
            data[f"i{index}"] = onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape))
    proto.output.extend(f"o{i}" if t.name else "" for i, t in enumerate(node.outputs))
    for name, value in node.attrs.items():
        proto.attribute.append(_attribute(name, value))
    found = shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", opset)]
    )
    return [read_type(found.get(name)) for name in proto.output]


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, gs.Constant):
        value = np.asarray(value.values)
    if isinstance(value, np.ndarray):
        value = onnx.numpy_helper.from_array(value)
    return onnx.helper.make_attribute(name, value)
