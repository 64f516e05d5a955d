"""Type and shape inference of one node, by onnx's own schemas (about ten microseconds a node)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import shape_inference

from dlarewrite.ir.view import constant_value

Inferred = tuple[Any, "list[int | str] | None"]
"""(element type as numpy dtype or None, dims or None), one per output."""

_SMALL = 4096
"""Constants up to this many elements are shown to inference (shapes, axes, pads …); weights are not."""


def infer(node: gs.Node, opset: int, bodies: onnx.NodeProto | None = None) -> list[Inferred]:
    """What the node's outputs are, or (None, None) each where onnx has no schema or cannot tell.

    ``bodies`` is the original proto of a node with subgraphs. Raises :class:`onnx.shape_inference.InferenceError`
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
        types[f"i{index}"] = _type(tensor)
        if isinstance(tensor, gs.Constant) and np.prod(tensor.shape, dtype=np.int64) <= _SMALL:
            value = constant_value(tensor)
            if value is not None and value.dtype.kind in "iufb":
                data[f"i{index}"] = onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape))
    proto.output.extend(f"o{i}" if t.name else "" for i, t in enumerate(node.outputs))
    for name, value in node.attrs.items():
        proto.attribute.append(_attribute(name, value))
    found = shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=[onnx.helper.make_opsetid("", opset)]
    )
    return [_read(found.get(name)) for name in proto.output]


def _type(tensor: gs.Tensor) -> onnx.TypeProto:
    kind = tensor.dtype if isinstance(tensor.dtype, int) else onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    dims = None if tensor.shape is None else [None if d in ("?", None) else d for d in tensor.shape]
    return onnx.helper.make_tensor_type_proto(kind, dims)


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, gs.Constant):
        value = np.asarray(value.values)
    if isinstance(value, np.ndarray):
        value = onnx.numpy_helper.from_array(value)
    return onnx.helper.make_attribute(name, value)


def _read(proto: onnx.TypeProto | None) -> Inferred:
    if proto is None or not proto.HasField("tensor_type") or not proto.tensor_type.elem_type:
        return None, None
    tensor = proto.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if not tensor.HasField("shape"):
        return kind, None
    return kind, [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
