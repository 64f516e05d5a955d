"""Which nodes return an input as it is: one predicate an operator, over static shapes and constant operands.

:func:`identity_of` returns the tensor that the output equals, a sentence for a near miss, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import (
    Array,
    attr,
    axis,
    constant_value,
    input_at,
    ints,
    is_constant,
    output_at,
    rank,
    shape,
    window,
)

Answer = "gs.Tensor | str | None"
Predicate = Callable[[gs.Node, int], "gs.Tensor | str | None"]

_LOADED = 65536
"""Operands up to this many elements are looked at; a bigger tensor of nothing but zeros or ones is not a real case."""


def identity_of(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    """The input that the node's first output equals, a sentence why it only nearly does, or None."""
    predicate = PREDICATES.get(node.op)
    return None if predicate is None else predicate(node, opset)


def _small(tensor: gs.Tensor | None) -> Array | None:
    if tensor is None or not is_constant(tensor) or math.prod(tensor.shape) > _LOADED:
        return None
    return constant_value(tensor)


def _list(node: gs.Node, index: int, name: str) -> list[int] | None:
    """A list of integers: constant input ``index``, or the attribute of older opsets; None where it is neither."""
    tensor = input_at(node, index)
    if tensor is None:
        return list(ints(node, name)) if name in node.attrs else None
    value = _small(tensor)
    return None if value is None else [int(v) for v in value.reshape(-1)]


def _is_all(tensor: gs.Tensor | None, value: float) -> bool:
    known = _small(tensor)
    return known is not None and known.size > 0 and known.dtype.kind in "iufb" and bool(np.all(known == value))


def _same_shape(node: gs.Node) -> bool:
    made, read = shape(output_at(node, 0)), shape(input_at(node, 0))
    return made is not None and made == read


def _always(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    return input_at(node, 0)


def _alone(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    return input_at(node, 0) if len(node.inputs) == 1 else None


def _dropout(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    if opset < 7 and not attr(node, "is_test", 0):
        return "it is marked as training (is_test = 0)"
    if (flag := input_at(node, 2)) is not None and not _is_all(flag, 0):
        return f"its training_mode {flag.name!r} is not constant false"
    return input_at(node, 0)


def _cast(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    x, y = input_at(node, 0), output_at(node, 0)
    if x is None or y is None or x.dtype is None or y.dtype is None:
        return None
    return x if x.dtype == y.dtype else None


def _same(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    return input_at(node, 0) if _same_shape(node) else None


def _reshape(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    if _same_shape(node):
        return input_at(node, 0)
    dims, known = _list(node, 1, "shape"), rank(input_at(node, 0))
    if dims is None or known != len(dims) or attr(node, "allowzero", 0):
        return None
    kept = dims.count(0)
    return input_at(node, 0) if kept == known or (kept == known - 1 and -1 in dims) else None


def _transpose(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    x = input_at(node, 0)
    known = rank(x)
    perm = ints(node, "perm") or (tuple(reversed(range(known))) if known is not None else None)
    return x if perm is not None and list(perm) == list(range(len(perm))) else None


def _resize(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    if not _same_shape(node) or attr(node, "antialias", 0):
        return None
    if attr(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return None
    if node.op == "Upsample" or opset < 11:
        scales: Any = _small(input_at(node, 1)) if len(node.inputs) > 1 else node.attrs.get("scales")
        return input_at(node, 0) if scales is not None and np.all(np.asarray(scales) == 1) else None
    if input_at(node, 3) is not None or _is_all(input_at(node, 2), 1):
        return input_at(node, 0)
    return None


def _pad(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    pads = _list(node, 1, "pads")
    return input_at(node, 0) if pads is not None and not any(pads) else None


def _slice(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    steps = _list(node, 4, "steps") if len(node.inputs) > 4 else [1]
    if steps is None or any(s != 1 for s in steps):
        return None
    if _same_shape(node):
        return input_at(node, 0)
    starts, ends = _list(node, 1, "starts"), _list(node, 2, "ends")
    if starts is None or ends is None:
        return None
    return input_at(node, 0) if not any(starts) and all(e >= 2**31 - 1 for e in ends) else None


def _expand(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    dims, known = _list(node, 1, "shape"), rank(input_at(node, 0))
    if dims is not None and known is not None and len(dims) <= known and all(d == 1 for d in dims):
        return input_at(node, 0)
    return _same(node, opset)


def takes_all_in_order(node: gs.Node) -> bool:
    """Whether a Gather takes every element along its axis once, in order: its result is a Reshape of what it reads."""
    dims, picked = shape(input_at(node, 0)), _small(input_at(node, 1))
    if dims is None or picked is None:
        return False
    size = dims[axis(int(attr(node, "axis", 0)), len(dims))]
    places = picked.reshape(-1)
    return places.size == size and bool(np.array_equal(np.where(places < 0, places + size, places), np.arange(size)))


def _gather(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    return input_at(node, 0) if _same_shape(node) and takes_all_in_order(node) else None


def _split(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    return input_at(node, 0) if len(node.outputs) == 1 else None


def _tile(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    repeats = _list(node, 1, "repeats") if opset >= 6 else None
    return input_at(node, 0) if repeats is not None and all(r == 1 for r in repeats) else None


def _pool(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    seen = window(node)
    if seen is None or seen.padded or any(k != 1 for k in seen.kernel) or any(s != 1 for s in seen.strides):
        return None
    return input_at(node, 0)


def _neutral(value: float, *, either: bool) -> Predicate:
    """x with a constant that changes nothing; ``either``: the constant may stand on the left too."""

    def predicate(node: gs.Node, opset: int) -> gs.Tensor | str | None:
        if len(node.inputs) != 2 or opset < 7:
            return None
        for x, c in ((0, 1), (1, 0)) if either else ((0, 1),):
            if _is_all(node.inputs[c], value) and _keeps_shape(node, x, c):
                return node.inputs[x]
        return None

    return predicate


def _keeps_shape(node: gs.Node, x: int, c: int) -> bool:
    made, read = shape(output_at(node, 0)), shape(node.inputs[x])
    if made is not None and read is not None:
        return made == read
    known, other = rank(node.inputs[x]), shape(node.inputs[c])
    return known is not None and other is not None and math.prod(other) == 1 and len(other) <= known


def _where(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    for value, place in ((1, 1), (0, 2)):
        if _is_all(input_at(node, 0), value):
            made, read = shape(output_at(node, 0)), shape(input_at(node, place))
            return input_at(node, place) if made is not None and made == read else None
    return None


def _again(node: gs.Node, opset: int) -> gs.Tensor | str | None:
    """f(f(x)) = f(x)."""
    x = input_at(node, 0)
    maker = x.inputs[0] if x is not None and x.inputs else None
    return x if maker is not None and maker.op == node.op and maker.domain in (None, "", "ai.onnx") else None


PREDICATES: Mapping[str, Predicate] = MappingProxyType(
    {
        "Identity": _always,
        "Dropout": _dropout,
        "Cast": _cast,
        "CastLike": _cast,
        "Reshape": _reshape,
        "Flatten": _same,
        "Squeeze": _same,
        "Unsqueeze": _same,
        "Transpose": _transpose,
        "Resize": _resize,
        "Upsample": _resize,
        "Pad": _pad,
        "Slice": _slice,
        "Expand": _expand,
        "Concat": _alone,
        "Sum": _alone,
        "Max": _alone,
        "Min": _alone,
        "Mean": _alone,
        "Gather": _gather,
        "Split": _split,
        "Tile": _tile,
        "AveragePool": _pool,
        "MaxPool": _pool,
        "Add": _neutral(0.0, either=True),
        "Sub": _neutral(0.0, either=False),
        "Mul": _neutral(1.0, either=True),
        "Div": _neutral(1.0, either=False),
        "Pow": _neutral(1.0, either=False),
        "Or": _neutral(0.0, either=True),
        "And": _neutral(1.0, either=True),
        "Where": _where,
        "Relu": _again,
        "Abs": _again,
        "Floor": _again,
        "Ceil": _again,
    }
)
