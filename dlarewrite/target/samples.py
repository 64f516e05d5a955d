"""Single ONNX nodes to be judged, here by the rule book or on a board by TensorRT: one small builder per layer kind.

A node hangs free: its inputs are variables or constants, its outputs have no reader unless :func:`then` gives one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

DATA = (1, 16, 8, 8)


def var(shape: Sequence[Any] | None = DATA, dtype: Any = np.float32, name: str = "x") -> gs.Variable:
    """An activation."""
    return gs.Variable(name, dtype, None if shape is None else list(shape))


def const(values: Any, dtype: Any = np.float32, name: str = "c") -> gs.Constant:
    """A constant of these values."""
    return gs.Constant(name, np.asarray(values, dtype=dtype))


def ones(*shape: int, name: str = "w") -> gs.Constant:
    """A constant of ones."""
    return gs.Constant(name, np.ones(shape, np.float32))


def ints(*values: int) -> gs.Constant:
    """A constant of 64-bit integers."""
    return const(values, np.int64, "i")


def nothing() -> gs.Variable:
    """An optional input that is not given."""
    return gs.Variable.empty()


def node(
    op: str, inputs: Sequence[gs.Tensor], out: Sequence[Any] | None = DATA, dtype: Any = np.float32, **attrs: Any
) -> gs.Node:
    """One node with one output ``y`` of shape ``out``; the node is named after its operator."""
    return gs.Node(op, op.lower(), attrs, list(inputs), [var(out, dtype, "y")])


def conv(
    kernel: Sequence[int] = (3, 3), *, channels: int = 16, maps: int = 16, group: int = 1, width: int = 8, **attrs: Any
) -> gs.Node:
    """A Conv; ``kernel`` has a number per spatial dimension."""
    spatial = len(kernel)
    data = (1, channels, *(8,) * (spatial - 1), width)
    weights = gs.Constant("w", np.broadcast_to(np.float32(1), (maps, channels // max(group, 1), *kernel)))
    out = (1, max(maps, 1), *(8,) * spatial)
    return node("Conv", [var(data), weights], out, kernel_shape=list(kernel), group=group, **attrs)


def deconv(
    kernel: Sequence[int] = (2, 2),
    strides: Sequence[int] = (2, 2),
    *,
    channels: int = 16,
    maps: int = 16,
    group: int = 1,
    **attrs: Any,
) -> gs.Node:
    """A ConvTranspose."""
    weights = gs.Constant("w", np.broadcast_to(np.float32(1), (channels, maps, *kernel)))
    data = (1, max(channels, 1), *(8,) * len(kernel))
    return node(
        "ConvTranspose", [var(data), weights], (1, 16, *(8,) * len(kernel)), strides=list(strides), group=group, **attrs
    )


def pool(op: str = "MaxPool", kernel: Sequence[int] = (2, 2), **attrs: Any) -> gs.Node:
    """A pooling node."""
    data = (1, 16, *(8,) * len(kernel))
    return node(op, [var(data)], data, kernel_shape=list(kernel), **attrs)


def unary(op: str, shape: Sequence[Any] = DATA, **attrs: Any) -> gs.Node:
    """A node with one input and one output of the same shape."""
    return node(op, [var(shape)], shape, **attrs)


def of_rank(op: str, rank: int, **attrs: Any) -> gs.Node:
    """A unary node on a tensor of ``rank`` dimensions."""
    return unary(op, (1, 4, 4, 4, 4, 4)[:rank], **attrs)


def pair(op: str, a: gs.Tensor, b: gs.Tensor, out: Sequence[int] = DATA, dtype: Any = np.float32) -> gs.Node:
    """A node that reads two tensors."""
    return node(op, [a, b], out, dtype)


def clip(low: float | None, high: float | None) -> gs.Node:
    """A Clip whose bounds are constants or absent."""
    bounds = [nothing() if value is None else const(value) for value in (low, high)]
    return node("Clip", [var(), *bounds])


def concat(count: int = 2, axis: int = 1, shape: Sequence[int] = DATA, **attrs: Any) -> gs.Node:
    """A Concat of ``count`` equal inputs."""
    out = list(shape)
    out[axis] *= count
    return node("Concat", [var(shape, name=f"x{i}") for i in range(count)], out, axis=axis, **attrs)


def slice_(axis: int = 1, start: int = 0, end: int = 8, step: int = 1, shape: Sequence[int] = DATA) -> gs.Node:
    """A Slice of one axis."""
    out = list(shape)
    out[axis] = max(1, (end - start) // (step or 1))
    return node("Slice", [var(shape), ints(start), ints(end), ints(axis), ints(step)], out)


def resize(scales: Sequence[float] = (1, 1, 2, 2), mode: str = "nearest", **attrs: Any) -> gs.Node:
    """A Resize by scales."""
    attrs.setdefault("coordinate_transformation_mode", "asymmetric" if mode == "nearest" else "half_pixel")
    attrs.setdefault("nearest_mode", "floor")
    out = [int(n * s) or 1 for n, s in zip(DATA, scales, strict=False)]
    return node("Resize", [var(), nothing(), const(scales)], out, mode=mode, **attrs)


def sized(height: int, width: int, mode: str = "nearest") -> gs.Node:
    """A Resize to sizes."""
    sizes = ints(1, 16, height, width)
    return node(
        "Resize",
        [var(), nothing(), nothing(), sizes],
        (1, 16, height, width),
        mode=mode,
        coordinate_transformation_mode="half_pixel",
    )


def reshape(before: Sequence[int] = DATA, after: Sequence[int] = (1, 8, 16, 8)) -> gs.Node:
    """A Reshape to a constant shape."""
    return node("Reshape", [var(before), ints(*after)], after)


def transpose(perm: Sequence[int] = (0, 2, 3, 1), before: Sequence[int] = (1, 4, 5, 6, 7)) -> gs.Node:
    """A Transpose."""
    before = before[: len(perm)]
    return node("Transpose", [var(before)], [before[p] for p in perm], perm=list(perm))


def then(made: gs.Node, op: str, dtype: Any = np.float32) -> gs.Node:
    """``made`` with a reader behind it."""
    out = made.outputs[0]
    attrs: dict[str, Any] = {"Cast": {"to": 1}, "Concat": {"axis": 1}}.get(op, {})
    gs.Node(op, "reader", attrs, [out], [gs.Variable("z", dtype, out.shape)])
    return made


def compare(
    op: str = "Greater", reader: str = "Cast", a: gs.Tensor | None = None, b: gs.Tensor | None = None
) -> gs.Node:
    """A comparison with a reader behind it."""
    left, right = a or var(name="a"), b or var(name="b")
    return then(pair(op, left, right, dtype=np.bool_), reader)


def cast_behind_comparison() -> gs.Node:
    """The Cast that reads a comparison."""
    made: gs.Node = compare().outputs[0].outputs[0]
    return made


def gemm(features: int = 64, maps: int = 10, constant: bool = True, **attrs: Any) -> gs.Node:
    """A Gemm of one row."""
    weights = (
        gs.Constant("w", np.broadcast_to(np.float32(1), (features, maps)))
        if constant
        else var((features, maps), name="w")
    )
    return node("Gemm", [var((1, max(features, 1))), weights], (1, max(maps, 1)), **attrs)


def matmul(a: Sequence[int], b: Sequence[int], constant: bool = True) -> gs.Node:
    """A MatMul, its second operand constant or not."""
    second = ones(*b) if constant else var(b, name="w")
    return node("MatMul", [var(a), second], (*a[:-1], b[-1]))


def reduce(
    op: str = "ReduceMax", axes: Sequence[int] = (2, 3), shape: Sequence[int] = DATA, keepdims: int = 1
) -> gs.Node:
    """A reduction."""
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    out = kept if keepdims else [n for i, n in enumerate(shape) if i not in axes]
    return node(op, [var(shape)], out, axes=list(axes), keepdims=keepdims)


def softmax(shape: Sequence[int] = DATA, axis: int = 1) -> gs.Node:
    """A Softmax."""
    return node("Softmax", [var(shape)], shape, axis=axis)


def batchnorm(constant: bool = True, shape: Sequence[int] = DATA) -> gs.Node:
    """A BatchNormalization whose statistics are constants or not."""
    stats = [ones(16) if constant else var((16,), name=f"s{i}") for i in range(4)]
    return node("BatchNormalization", [var(shape), *stats], shape)


def pad(value: float = 0.0, mode: str = "constant", pads: Sequence[int] = (0, 0, 1, 1, 0, 0, 1, 1)) -> gs.Node:
    """A Pad."""
    out = [n + a + b for n, a, b in zip(DATA, pads[:4], pads[4:], strict=True)]
    return node("Pad", [var(), ints(*pads), const(value)], out, mode=mode)


def with_indices() -> gs.Node:
    """A MaxPool that also gives indices."""
    made = pool()
    made.outputs.append(gs.Variable("indices", np.int64, list(DATA)))
    return made
