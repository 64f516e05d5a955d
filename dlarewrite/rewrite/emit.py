"""Emits operators in the form that the model's opset has: attributes once, inputs later.

Every function adds one node (or none where it would do nothing) and returns its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, dtype


def scalar(edit: Editor, value: float, like: gs.Tensor, hint: str = "scalar") -> gs.Constant:
    """A rank-0 constant of ``like``'s element type."""
    return edit.constant(value, hint, dtype(like) or np.dtype(np.float32))


def per_position(edit: Editor, values: Array, like: gs.Tensor, hint: str = "map") -> gs.Constant:
    """A constant of ``like``'s full shape [1, C, ...] and type from one value per spatial position (EW-CONST)."""
    dims = (1, *(int(d) for d in like.shape[1:]))
    return edit.constant(np.broadcast_to(values, dims), hint, dtype(like) or np.dtype(np.float32))


def clip(edit: Editor, x: gs.Tensor, low: float, high: float) -> gs.Variable:
    """Clip(x, low, high); bounds are attributes before opset 11, inputs of x's type after."""
    if edit.model.opset < 11:
        return edit.op("Clip", [x], {"min": float(low), "max": float(high)})
    return edit.op("Clip", [x, scalar(edit, low, x, "min"), scalar(edit, high, x, "max")])


def odd_cubic(edit: Editor, x: gs.Tensor, slope: float, cubic: float) -> gs.Variable:
    """slope x + cubic x^3, as x (slope + cubic x x)."""
    square = edit.op("Mul", [x, x])
    inner = edit.op("Add", [edit.op("Mul", [square, scalar(edit, cubic, x, "cubic")]), scalar(edit, slope, x, "slope")])
    return edit.op("Mul", [x, inner])


def polynomial(edit: Editor, x: gs.Tensor, coefficients: Sequence[float]) -> gs.Variable:
    """c0 + c1 x + c2 x^2 ... by Horner's rule, lowest coefficient first, two at least."""
    result = edit.op("Mul", [x, scalar(edit, coefficients[-1], x, "c")])
    for coefficient in reversed(coefficients[1:-1]):
        result = edit.op("Mul", [edit.op("Add", [result, scalar(edit, coefficient, x, "c")]), x])
    return edit.op("Add", [result, scalar(edit, coefficients[0], x, "c")])


def cast(edit: Editor, x: gs.Tensor, kind: np.dtype[Any]) -> gs.Variable:
    """Cast(x) to a numpy element type."""
    return edit.op("Cast", [x], {"to": int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)))})


def slice_(
    edit: Editor,
    x: gs.Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int] | None = None,
) -> gs.Variable:
    """Slice(x); attributes before opset 10 (which has no steps), int64 inputs after."""
    if edit.model.opset < 10:
        if steps is not None and any(s != 1 for s in steps):
            raise EditError("Slice has no steps before opset 10")
        return edit.op("Slice", [x], {"starts": list(starts), "ends": list(ends), "axes": list(axes)})
    inputs: list[gs.Tensor | None] = [
        x,
        _ints(edit, starts, "starts"),
        _ints(edit, ends, "ends"),
        _ints(edit, axes, "axes"),
    ]
    if steps is not None and any(s != 1 for s in steps):
        inputs.append(_ints(edit, steps, "steps"))
    return edit.op("Slice", inputs)


def pad(edit: Editor, x: gs.Tensor, pads: Sequence[int], value: float = 0.0, mode: str = "constant") -> gs.Variable:
    """Pad(x) with ONNX-ordered ``pads`` (all begins, then all ends); attributes before opset 11."""
    if edit.model.opset < 11:
        return edit.op("Pad", [x], {"pads": list(pads), "mode": mode, "value": float(value)})
    inputs: list[gs.Tensor | None] = [x, _ints(edit, pads, "pads")]
    if mode == "constant" and value != 0.0:
        inputs.append(scalar(edit, value, x, "value"))
    return edit.op("Pad", inputs, {"mode": mode})


def reshape(edit: Editor, x: gs.Tensor, dims: Sequence[int]) -> gs.Tensor:
    """Reshape(x) to static ``dims``, or x itself where it has that shape."""
    if x.shape is not None and list(x.shape) == list(dims):
        return x
    return edit.op("Reshape", [x, _ints(edit, dims, "shape")])


def transpose(edit: Editor, x: gs.Tensor, perm: Sequence[int]) -> gs.Tensor:
    """Transpose(x), or x itself for the identity."""
    if list(perm) == list(range(len(perm))):
        return x
    return edit.op("Transpose", [x], {"perm": list(perm)})


def resize(edit: Editor, x: gs.Tensor, scales: Sequence[float], attrs: dict[str, object]) -> gs.Variable:
    """Resize(x) by float ``scales`` (one per axis); opset 10 has no roi, earlier opsets have Upsample."""
    if edit.model.opset < 9:
        return edit.op("Upsample", [x], {"mode": attrs.get("mode", "nearest"), "scales": [float(s) for s in scales]})
    factors = edit.constant([float(s) for s in scales], "scales", np.float32)
    if edit.model.opset < 10:
        return edit.op("Upsample", [x, factors], {"mode": attrs.get("mode", "nearest")})
    if edit.model.opset == 10:
        return edit.op("Resize", [x, factors], {"mode": attrs.get("mode", "nearest")})
    roi = edit.constant([], "roi", np.float32) if edit.model.opset < 13 else None
    return edit.op("Resize", [x, roi, factors], dict(attrs))


def squeeze(edit: Editor, x: gs.Tensor, axes: Sequence[int]) -> gs.Variable:
    """Squeeze(x) over ``axes``; an attribute before opset 13."""
    if edit.model.opset < 13:
        return edit.op("Squeeze", [x], {"axes": list(axes)})
    return edit.op("Squeeze", [x, _ints(edit, axes, "axes")])


def unsqueeze(edit: Editor, x: gs.Tensor, axes: Sequence[int]) -> gs.Variable:
    """Unsqueeze(x) at ``axes``; an attribute before opset 13."""
    if edit.model.opset < 13:
        return edit.op("Unsqueeze", [x], {"axes": list(axes)})
    return edit.op("Unsqueeze", [x, _ints(edit, axes, "axes")])


def _ints(edit: Editor, values: Sequence[int], hint: str) -> gs.Constant:
    return edit.constant(np.asarray(values, dtype=np.int64), hint)
