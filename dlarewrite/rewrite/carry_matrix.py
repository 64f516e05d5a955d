"""How products with a constant matrix are carried: as convolutions whose kernel covers what the product sums over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, attr, constant_value, input_at, is_constant, label, shape
from dlarewrite.rewrite.carry import Carried, Rule
from dlarewrite.rewrite.layout import Layout, layout


@dataclass(frozen=True)
class Product:
    """x @ matrix + bias with x = data or its transpose: ``matrix`` is [K, M]; ``bias`` has M values, or is None."""

    matrix: Array
    bias: Array | None


def is_product(node: gs.Node) -> bool:
    """Whether a Gemm or MatMul multiplies an activation by a constant matrix (nothing is loaded)."""
    data, matrix = input_at(node, 0), input_at(node, 1)
    form = shape(matrix)
    if data is None or is_constant(data) or not is_constant(matrix) or form is None or len(form) != 2:
        return False
    third = input_at(node, 2)
    return node.op == "MatMul" or (not attr(node, "transA", 0) and (third is None or is_constant(third)))


def read_product(node: gs.Node) -> Product | None:
    """The constant matrix and bias of a Gemm or MatMul, alpha, beta and transB worked in."""
    if not is_product(node):
        return None
    matrix = np.asarray(constant_value(input_at(node, 1)))
    if node.op == "MatMul":
        return Product(matrix, None)
    matrix = matrix.T if attr(node, "transB", 0) else matrix
    alpha, beta = float(attr(node, "alpha", 1.0)), float(attr(node, "beta", 1.0))
    matrix = matrix if alpha == 1.0 else (matrix * alpha).astype(matrix.dtype)
    held = constant_value(input_at(node, 2))
    if held is None or beta == 0.0:
        return Product(matrix, None)
    if held.size not in (1, matrix.shape[1]) or (held.ndim == 2 and held.shape[0] != 1):
        return None
    bias = np.broadcast_to(held.reshape(-1), (matrix.shape[1],))
    return Product(matrix, bias if beta == 1.0 else (bias * beta).astype(bias.dtype))


def product(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Gemm and MatMul with a constant matrix, over the tensor's last axis."""
    data = ins[0] if ins else None
    found = read_product(node) if data is not None and data.places else None
    if data is None or found is None or not data.batched:
        return None
    summed = data.places[-1]
    # Carrier channels are always summed over by a convolution.
    if 0 in summed or (data.dims[1] != 1 and 1 not in summed):
        return None
    kernel = [data.dims[a] if a in summed else 1 for a in (2, 3)]
    count = found.matrix.shape[1]
    dims = (data.dims[0], count, data.dims[2] // kernel[0], data.dims[3] // kernel[1])
    result = layout(dims, [*data.places[:-1], (1,)])
    if result.shape != shape(node.outputs[0]):
        return None

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        sizes = [data.dims[a] for a in summed]
        weights = found.matrix.T.reshape([count, *sizes])
        ranked = weights.transpose([0, *(1 + summed.index(a) for a in sorted(summed))])
        ranked = ranked.reshape([count, data.dims[1], *kernel])
        inputs = [carriers[0], edit.constant(ranked, str(node.inputs[1].name))]
        if found.bias is not None:
            inputs.append(edit.constant(np.array(found.bias), str(node.inputs[2].name)))
        return edit.ops("Conv", inputs, {"kernel_shape": kernel}, hint=label(node))

    return Carried((result,), make)


def kernel_of(node: gs.Node, data: Layout) -> int:
    """The largest kernel side that the product would have as a convolution."""
    return math.prod(max((data.dims[a],)) for a in data.places[-1] if a in (2, 3)) if data.places else 1


MATRIX_RULES: Mapping[str, Rule] = MappingProxyType({"Gemm": product, "MatMul": product})
"""Products with a constant matrix."""
