"""Exact evaluation of single operators in numpy: shape arithmetic and data movement, where numpy and onnxruntime agree
to the last bit. What rounds in its own way (MatMul, Exp, reductions of floats) is not here; see
:mod:`dlarewrite.analysis.constants`.

A kernel takes the node, its input arrays (None: omitted) and the opset; it returns the outputs, or None where it does
not have that form. Arrays of dtype object, whose unknown entries are None, pass through the movement kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.analysis.movement import MOVES, Inputs, Kernel, Outputs, data, int_list
from dlarewrite.ir.view import Array, attr


def evaluate(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    """The node's outputs, or None where no kernel has its form; raises ValueError or IndexError for bad operands."""
    kernel = KERNELS.get(node.op)
    if kernel is None or node.domain not in (None, "", "ai.onnx"):
        return None
    with np.errstate(all="ignore"):
        made = kernel(node, inputs, opset)
    return None if made is None else tuple(np.asarray(m) for m in made)


def constant_attribute(node: gs.Node) -> Array | None:
    """The value of a Constant node, or None for strings and sparse tensors."""
    if "value" in node.attrs:
        held = node.attrs["value"]
        return np.asarray(held.values if isinstance(held, gs.Constant) else held)
    for name, kind in (("float", np.float32), ("floats", np.float32), ("int", np.int64), ("ints", np.int64)):
        if f"value_{name}" in node.attrs:
            return np.asarray(node.attrs[f"value_{name}"], dtype=kind)
    return None


def _constant(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    value = constant_attribute(node)
    return None if value is None else (value,)


def _cast(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x = data(inputs)
    target = attr(node, "to")
    if not isinstance(target, int) or x.dtype.kind not in "iufb":
        return None
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(target))
    if kind.kind not in "iufb" or kind.metadata or target == onnx.TensorProto.STRING:
        return None
    if x.dtype.kind == "f" and kind.kind in "iu":
        bounds = np.iinfo(kind)
        # Outside its range a conversion to integer is undefined: whoever runs the model decides.
        if x.size and not (np.isfinite(x).all() and x.min() > bounds.min - 1 and x.max() < bounds.max):
            return None
    return (x.astype(kind),)


def _shape(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    dims = np.asarray(data(inputs).shape, dtype=np.int64)
    return (dims[slice(attr(node, "start", 0), attr(node, "end"))],)


def _size(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (np.asarray(data(inputs).size, dtype=np.int64),)


def _constant_of_shape(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    held = attr(node, "value")
    value = (
        np.zeros(1, np.float32) if held is None else np.asarray(held.values if isinstance(held, gs.Constant) else held)
    )
    return (np.full([int(d) for d in data(inputs).reshape(-1)], value.reshape(-1)[0], dtype=value.dtype),)


def _range(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    start, limit, delta = (data(inputs, i).reshape(()) for i in range(3))
    if start.dtype.kind not in "iu":
        return None
    return (np.arange(int(start), int(limit), int(delta), dtype=start.dtype),)


def _divide(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    a, b = data(inputs), data(inputs, 1)
    if a.dtype.kind == "f":
        return (a / b,)
    if not np.all(b):
        raise ValueError("integer division by zero")
    quotient = a // b
    # ONNX follows C: integer quotients round towards zero.
    return ((quotient + ((quotient < 0) & (quotient * b != a)).astype(a.dtype)).astype(a.dtype),)


def _modulo(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    a, b = data(inputs), data(inputs, 1)
    if a.dtype.kind not in "iu":
        return None
    if not np.all(b):
        raise ValueError("integer division by zero")
    return (np.fmod(a, b) if attr(node, "fmod", 0) else np.mod(a, b),)


def _binary(function: Callable[[Array, Array], Array], kinds: str = "iuf") -> Kernel:
    def kernel(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
        a, b = data(inputs), data(inputs, 1)
        # Before opset 7, operands were lined up by an axis attribute.
        if a.dtype.kind not in kinds or a.dtype != b.dtype or opset < 7:
            return None
        return (function(a, b),)

    return kernel


def _unary(function: Callable[[Array], Array], kinds: str = "iuf") -> Kernel:
    def kernel(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
        x = data(inputs)
        return (function(x),) if x.dtype.kind in kinds else None

    return kernel


def _fold(function: Callable[[Array, Array], Array]) -> Kernel:
    def kernel(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
        result = data(inputs)
        if result.dtype.kind not in "iu":
            return None
        for i in range(1, len(inputs)):
            result = function(result, data(inputs, i))
        return (result,)

    return kernel


def _reduce(function: Callable[..., Any]) -> Kernel:
    def kernel(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
        x = data(inputs)
        if x.dtype.kind not in "iu":
            return None
        axes = int_list(node, inputs, 1, "axes")
        if not axes and attr(node, "noop_with_empty_axes", 0):
            return (x,)
        return (
            function(x, axis=tuple(axes) if axes else None, keepdims=bool(attr(node, "keepdims", 1))).astype(x.dtype),
        )

    return kernel


def _where(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (np.where(data(inputs), data(inputs, 1), data(inputs, 2)),)


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        **MOVES,
        "Constant": _constant,
        "Cast": _cast,
        "Shape": _shape,
        "Size": _size,
        "ConstantOfShape": _constant_of_shape,
        "Range": _range,
        "Where": _where,
        "Div": _divide,
        "Mod": _modulo,
        "Add": _binary(np.add),
        "Sub": _binary(np.subtract),
        "Mul": _binary(np.multiply),
        "And": _binary(np.logical_and, "b"),
        "Or": _binary(np.logical_or, "b"),
        "Xor": _binary(np.logical_xor, "b"),
        "Equal": _binary(np.equal, "iufb"),
        "Greater": _binary(np.greater),
        "GreaterOrEqual": _binary(np.greater_equal),
        "Less": _binary(np.less),
        "LessOrEqual": _binary(np.less_equal),
        "Min": _fold(np.minimum),
        "Max": _fold(np.maximum),
        "Not": _unary(np.logical_not, "b"),
        "Neg": _unary(np.negative),
        "Abs": _unary(np.abs),
        "Floor": _unary(np.floor, "f"),
        "Ceil": _unary(np.ceil, "f"),
        "Sqrt": _unary(np.sqrt, "f"),
        "ReduceProd": _reduce(np.prod),
        "ReduceSum": _reduce(np.sum),
        "ReduceMax": _reduce(np.max),
        "ReduceMin": _reduce(np.min),
    }
)
