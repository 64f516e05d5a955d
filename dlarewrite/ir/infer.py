"""Type and shape inference of one node, by onnx's own schemas; nodes of one form are inferred once."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

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
    if (node.domain or "") not in ("", "ai.onnx") or bodies is not None:
        return unknown
    inputs: list[_Input | None] = []
    for tensor in node.inputs:
        if not tensor.name:
            inputs.append(None)
            continue
        if tensor.dtype is None:
            return unknown
        dims = None if tensor.shape is None else tuple(tensor.shape)
        shown = not isinstance(tensor, gs.Constant) or is_shown(tensor.dtype, math.prod(tensor.shape))
        inputs.append(_Input(tensor.dtype, dims, _value(tensor, known) if shown else None))
    attrs = tuple(_attribute(name, value) for name, value in node.attrs.items())
    outputs = tuple(bool(t.name) for t in node.outputs)
    found = _inferred(_Form(node.op, opset, tuple(inputs), attrs, outputs))
    return [(kind, None if dims is None else list(dims)) for kind, dims in found]


class _Array(NamedTuple):
    """An array that can be compared and hashed."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: bytes

    def proto(self) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.frombuffer(self.data, self.dtype).reshape(self.shape))


class _Input(NamedTuple):
    """All of an input that bears on the outputs' types."""

    dtype: Any
    dims: tuple[int | str | None, ...] | None
    value: _Array | None


class _Attribute(NamedTuple):
    """An attribute; ``kind`` tells 1 from 1.0, ``value`` is a tensor's proto in bytes, without its values if large."""

    name: str
    kind: tuple[type, ...]
    value: Any

    def proto(self) -> onnx.AttributeProto:
        plain = onnx.TensorProto.FromString(self.value) if self.kind == (np.ndarray,) else self.value
        return onnx.helper.make_attribute(self.name, plain)


class _Form(NamedTuple):
    """All of a node that bears on its outputs' types."""

    op: str
    opset: int
    inputs: tuple[_Input | None, ...]
    attrs: tuple[_Attribute, ...]
    outputs: tuple[bool, ...]


@functools.lru_cache(maxsize=1 << 14)
def _inferred(form: _Form) -> tuple[tuple[Any, tuple[int | str, ...] | None], ...]:
    try:
        schema = onnx.defs.get_schema(form.op, form.opset, "")
    except onnx.defs.SchemaError:
        return ((None, None),) * len(form.outputs)
    names = ["" if given is None else f"i{i}" for i, given in enumerate(form.inputs)]
    given = {name: known for name, known in zip(names, form.inputs, strict=True) if known is not None}
    proto = onnx.NodeProto(op_type=form.op, input=names)
    proto.output.extend(f"o{i}" if named else "" for i, named in enumerate(form.outputs))
    proto.attribute.extend(attribute.proto() for attribute in form.attrs)
    found = shape_inference.infer_node_outputs(
        schema,
        proto,
        {name: tensor_type(known.dtype, known.dims) for name, known in given.items()},
        {name: known.value.proto() for name, known in given.items() if known.value is not None},
        opset_imports=[onnx.helper.make_opsetid("", form.opset)],
    )
    read = (read_type(found.get(name)) for name in proto.output)
    return tuple((kind, None if dims is None else tuple(dims)) for kind, dims in read)


def _value(tensor: gs.Tensor, known: Mapping[int, Array] | None) -> _Array | None:
    value = constant_value(tensor) if known is None or id(tensor) not in known else known[id(tensor)]
    if value is None or not is_shown(value.dtype, value.size):
        return None
    return _Array(value.dtype, value.shape, value.tobytes())


def _attribute(name: str, value: Any) -> _Attribute:
    if isinstance(value, (gs.Constant, np.ndarray)):
        return _Attribute(name, (np.ndarray,), _tensor(value).SerializeToString())
    if isinstance(value, list):
        return _Attribute(name, tuple(map(type, value)), tuple(value))
    return _Attribute(name, (type(value),), value)


def _tensor(value: gs.Constant | Array) -> onnx.TensorProto:
    """A tensor attribute; of a large one (the weights of a Constant node) no more than type and shape bear on types."""
    if math.prod(value.shape) > _SMALL and value.dtype is not None and not isinstance(value.dtype, int):
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        return onnx.TensorProto(data_type=kind, dims=[int(d) for d in value.shape])
    return onnx.numpy_helper.from_array(np.asarray(value.values) if isinstance(value, gs.Constant) else value)
