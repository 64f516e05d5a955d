"""A node's operands as two models can compare them: by value where a tensor is constant, by name where it is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import Array, input_at, is_op
from dlarewrite.ir.weights import StoredValues

_PLAIN_CONSTANTS = ("value_float", "value_floats", "value_int", "value_ints")
_SHOWN = 8


def value_of(tensor: gs.Tensor) -> Array | None:
    """What a tensor holds before anything runs: an initializer's or a Constant node's values; else None.

    The values are read from where they are stored and not kept.
    """
    if isinstance(tensor, gs.Constant):
        values = tensor._values
        return values.load() if isinstance(values, StoredValues) else np.asarray(tensor.values)
    maker = tensor.inputs[0] if tensor.inputs else None
    if maker is None or not is_op(maker, "Constant"):
        return None
    whole = maker.attrs.get("value")
    if isinstance(whole, gs.Constant):
        return value_of(whole)
    for name in _PLAIN_CONSTANTS:
        if name in maker.attrs:
            return np.asarray(maker.attrs[name], np.float32 if "float" in name else np.int64)
    return None


def same_values(one: Array, other: Array) -> bool:
    """Equal in type, shape and every bit, so that NaN equals itself and -0 is not 0."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype == object:
        return bool(one.tolist() == other.tolist())
    return one.tobytes() == other.tobytes()


def digest(array: Array) -> str:
    """Type, shape and eight hex digits over the bytes; small values are the same text in every process."""
    raw = repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
    return f"{array.dtype}[{','.join(map(str, array.shape))}] #{hashlib.sha256(raw).hexdigest()[:8]}"


def shown(tensor: gs.Tensor | None) -> str:
    """An input for people: the tensor's name or, of a constant, its type, shape and values or digest."""
    if tensor is None:
        return "absent"
    array = value_of(tensor)
    return str(tensor.name) if array is None else _values(array)


def _values(array: Array) -> str:
    """Type and shape, with small values written out and large ones by digest."""
    if array.size > _SHOWN:
        return digest(array)
    kind = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    return f"{kind}{{{', '.join(str(v) for v in array.reshape(-1).tolist())}}}"


def operands(node: gs.Node) -> int:
    """The number of inputs without omitted ones at the end."""
    count = len(node.inputs)
    while count and input_at(node, count - 1) is None:
        count -= 1
    return count


def rare_attributes(model: Model, node: gs.Node) -> Iterator[tuple[str, onnx.AttributeProto]]:
    """Attributes that graphsurgeon has no value for (subgraphs, types, sparse tensors), as they were read."""
    proto = model.envelope.protos.get(id(node))
    if proto is None:
        return
    touched = model.envelope.touched.get(id(node), set())
    yield from ((a.name, a) for a in proto.attribute if a.name not in node.attrs and a.name not in touched)
