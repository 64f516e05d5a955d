"""Work of a node: multiply-accumulates, weight bytes and activation bytes, from static shapes.

Only operators that multiply and accumulate have MACs (convolutions, matrix products, recurrent cells); the rest is
counted in bytes. A shape that is not static makes the figure 0, which `unknown_work` tells apart.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import attr, input_at, is_constant, output_at, shape

_MATRIX = ("MatMul", "MatMulInteger", "QLinearMatMul")
_RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}


def macs(node: gs.Node) -> int:
    """Multiply-accumulates of one inference of the node; 0 where it has none or shapes are unknown."""
    if node.domain not in (None, "", "ai.onnx"):
        return 0
    if node.op in ("Conv", "ConvInteger", "QLinearConv"):
        weight = shape(input_at(node, 3 if node.op == "QLinearConv" else 1))
        result = shape(output_at(node, 0))
        return math.prod(result) * math.prod(weight[1:]) if weight and result else 0
    if node.op == "ConvTranspose":
        weight, data = shape(input_at(node, 1)), shape(input_at(node, 0))
        return math.prod(data) * math.prod(weight[1:]) if weight and data else 0
    if node.op == "Gemm":
        first, result = shape(input_at(node, 0)), shape(output_at(node, 0))
        inner = 0 if attr(node, "transA", 0) else 1
        return math.prod(result) * first[inner] if first and result else 0
    if node.op in _MATRIX:
        first, result = shape(input_at(node, 0)), shape(output_at(node, 0))
        return math.prod(result) * first[-1] if first and result is not None else 0
    if node.op == "Einsum":
        return _einsum(node)
    if node.op in _RECURRENT:
        data, weight = shape(input_at(node, 0)), shape(input_at(node, 1))
        hidden = int(attr(node, "hidden_size", 0))
        if not data or not weight or not hidden:
            return 0
        steps, batch, features = data
        return steps * batch * weight[0] * _RECURRENT[node.op] * hidden * (features + hidden)
    return 0


def _einsum(node: gs.Node) -> int:
    """One multiplication for each combination of all indices; 0 with an ellipsis."""
    sides = str(attr(node, "equation", "")).replace(" ", "").partition("->")[0].split(",")
    shapes = [shape(t) for t in node.inputs]
    sizes: dict[str, int] = {}
    for term, form in zip(sides, shapes, strict=False):
        if form is None or len(term) != len(form) or not term.isalpha():
            return 0
        sizes.update(zip(term, form, strict=True))
    return math.prod(sizes.values())


def elements(tensor: gs.Tensor | None) -> int:
    """Number of elements, or 0 where the shape is not static."""
    dims = shape(tensor)
    return math.prod(dims) if dims is not None else 0


def nbytes(tensor: gs.Tensor, float_bytes: int | None = None) -> int:
    """Bytes of a tensor; ``float_bytes`` overrides the element size of floats (2 for fp16, 1 for int8 builds)."""
    kind = tensor.dtype
    if kind is None or isinstance(kind, int):
        return elements(tensor) * (float_bytes or 4)
    kind = np.dtype(kind)
    size = kind.itemsize if kind.kind != "f" or float_bytes is None else float_bytes
    return elements(tensor) * size


def weight_bytes(node: gs.Node) -> int:
    """Bytes of the constants that the node reads, as stored."""
    return sum(nbytes(t) for t in node.inputs if t.name and is_constant(t))


def activation_bytes(node: gs.Node, float_bytes: int | None = None) -> int:
    """Bytes of the activations that the node reads and writes."""
    read = sum(nbytes(t, float_bytes) for t in node.inputs if t.name and not is_constant(t))
    return read + sum(nbytes(t, float_bytes) for t in node.outputs if t.name)
