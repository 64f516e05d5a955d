"""Kernels that move values without looking at them: the same for numbers, truth values, and unknown entries (None in
arrays of dtype object). Also how a kernel reads its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import Array, attr, axis, ints

Inputs = Sequence["Array | None"]
Outputs = tuple[Array, ...]
Kernel = Callable[[gs.Node, Inputs, int], "Outputs | None"]


def data(inputs: Inputs, index: int = 0) -> Array:
    """Input ``index``; raises ValueError where it is missing."""
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        raise ValueError(f"input {index} is missing")
    return value


def int_list(node: gs.Node, inputs: Inputs, index: int, name: str) -> list[int] | None:
    """An integer list that is an attribute in old opsets and input ``index`` in new ones."""
    if index < len(inputs):
        value = inputs[index]
        return None if value is None else [int(v) for v in np.asarray(value).reshape(-1)]
    return list(ints(node, name)) if name in node.attrs else None


def _identity(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (data(inputs),)


def _gather(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (np.take(data(inputs), data(inputs, 1).astype(np.int64), axis=attr(node, "axis", 0)),)


def _slice(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x = data(inputs)
    starts, ends = int_list(node, inputs, 1, "starts"), int_list(node, inputs, 2, "ends")
    if starts is None or ends is None:
        return None
    axes = int_list(node, inputs, 3, "axes")
    steps = int_list(node, inputs, 4, "steps")
    picks = [slice(None)] * x.ndim
    for i, where in enumerate(range(len(starts)) if axes is None else axes):
        where = axis(where, x.ndim)
        picks[where] = bounds(starts[i], ends[i], 1 if steps is None else steps[i], x.shape[where])
    return (x[tuple(picks)],)


def bounds(start: int, end: int, step: int, size: int) -> slice:
    """ONNX's clamped Slice over one axis as a Python slice."""
    start, end = start + size * (start < 0), end + size * (end < 0)
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    start, end = min(max(start, 0), size - 1), min(max(end, -1), size - 1)
    return slice(start, None if end < 0 else end, step)


def _concat(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (np.concatenate([x for x in inputs if x is not None], axis=attr(node, "axis", 0)),)


def _squeeze(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x, axes = data(inputs), int_list(node, inputs, 1, "axes")
    return (np.squeeze(x, axis=None if axes is None else tuple(axes)),)


def _unsqueeze(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    axes = int_list(node, inputs, 1, "axes")
    return None if axes is None else (np.expand_dims(data(inputs), tuple(axes)),)


def _reshape(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x, dims = data(inputs), int_list(node, inputs, 1, "shape")
    if dims is None:
        return None
    if not attr(node, "allowzero", 0):
        dims = [x.shape[i] if d == 0 else d for i, d in enumerate(dims)]
    return (x.reshape(dims),)


def _flatten(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x = data(inputs)
    cut = axis(attr(node, "axis", 1), x.ndim)
    return (x.reshape(int(np.prod(x.shape[:cut], dtype=np.int64)), -1 if x.size else 0),)


def _transpose(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    return (np.transpose(data(inputs), ints(node, "perm") or None),)


def _expand(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x, dims = data(inputs), int_list(node, inputs, 1, "shape")
    return None if dims is None else (np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(dims))).copy(),)


def _tile(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    repeats = int_list(node, inputs, 1, "repeats")
    return None if repeats is None or opset < 6 else (np.tile(data(inputs), repeats),)


def _split(node: gs.Node, inputs: Inputs, opset: int) -> Outputs | None:
    x, where = data(inputs), attr(node, "axis", 0)
    sizes = int_list(node, inputs, 1, "split")
    if sizes is None:
        count = len(node.outputs)
        step = -(-x.shape[where] // count)
        sizes = [min(step, x.shape[where] - i * step) for i in range(count)]
    return tuple(np.split(x, np.cumsum(sizes)[:-1].tolist(), axis=where))


MOVES: Mapping[str, Kernel] = MappingProxyType(
    {
        "Identity": _identity,
        "Gather": _gather,
        "Slice": _slice,
        "Concat": _concat,
        "Squeeze": _squeeze,
        "Unsqueeze": _unsqueeze,
        "Reshape": _reshape,
        "Flatten": _flatten,
        "Transpose": _transpose,
        "Expand": _expand,
        "Tile": _tile,
        "Split": _split,
    }
)
