"""How products with a constant matrix are carried: as convolutions whose kernel covers what the product sums over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, attr, constant_value, input_at, is_constant, label, rank, shape
from dlarewrite.rewrite.carry import Carried, Rule
from dlarewrite.rewrite.layout import Layout, layout
from dlarewrite.rewrite.spreading import spread


@dataclass(frozen=True)
class Product:
    """``matrix`` is [K, M]: the activation's axis ``summed`` (-1 or -2) of K goes in, one of M comes out.

    ``source`` is the input index of the activation; ``bias`` has M values, or is None.
    """

    source: int
    summed: int
    matrix: Array
    bias: Array | None = None


def is_product(node: gs.Node) -> bool:
    """Whether a Gemm or MatMul multiplies an activation by a constant matrix (nothing is loaded)."""
    pair = [input_at(node, 0), input_at(node, 1)]
    constants = [t for t in pair if is_constant(t)]
    if any(t is None for t in pair) or len(constants) != 1 or rank(constants[0]) != 2:
        return False
    third = input_at(node, 2)
    return node.op == "MatMul" or (is_constant(pair[1]) and (third is None or is_constant(third)))


def read_product(node: gs.Node) -> Product | None:
    """The constant matrix and bias of a Gemm or MatMul, alpha, beta and transB worked in; None for any other node."""
    if not is_product(node):
        return None
    if is_constant(input_at(node, 0)):
        return Product(1, -2, np.asarray(constant_value(input_at(node, 0))).T)
    matrix = np.asarray(constant_value(input_at(node, 1)))
    if node.op == "MatMul":
        return Product(0, -1, matrix)
    matrix = matrix.T if attr(node, "transB", 0) else matrix
    alpha, beta = float(attr(node, "alpha", 1.0)), float(attr(node, "beta", 1.0))
    matrix = matrix if alpha == 1.0 else (matrix * alpha).astype(matrix.dtype)
    held = constant_value(input_at(node, 2))
    if held is None or beta == 0.0:
        return Product(0, -1, matrix)
    if held.size not in (1, matrix.shape[1]) or (held.ndim == 2 and held.shape[0] != 1):
        return None
    bias = np.broadcast_to(held.reshape(-1), (matrix.shape[1],))
    return Product(0, -1, matrix, bias if beta == 1.0 else (bias * beta).astype(bias.dtype))


def product(node: gs.Node, ins: Sequence[Layout | None], opset: int) -> Carried | None:
    """Gemm and MatMul with a constant matrix."""
    found = read_product(node)
    data = ins[found.source] if found is not None else None
    if data is None or found is None or len(data.places) < -found.summed:
        return None
    if node.op == "Gemm" and attr(node, "transA", 0):
        data = data.permuted((1, 0))
    where = len(data.places) + found.summed
    summed = data.places[where]
    # A convolution always sums over the channels, and never over the batch.
    if not data.batched or 0 in summed or (data.dims[1] != 1 and 1 not in summed):
        return None
    image = spread(node) if found.source == 0 and len(data.places) == 2 and data.dims[2:] == (1, 1) else None
    if image is not None:

        def spread_out(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
            return [image.emit(edit, x, found.matrix, found.bias, label(node)) for x in carriers[:1] if x is not None]

        return Carried((image.layout,), spread_out)
    kernel = [data.dims[a] if a in summed else 1 for a in (2, 3)]
    count = found.matrix.shape[1]
    dims = (data.dims[0], count, data.dims[2] // kernel[0], data.dims[3] // kernel[1])
    result = layout(dims, [*data.places[:where], (1,), *data.places[where + 1 :]])
    if result.shape != shape(node.outputs[0]):
        return None
    channels = data.dims[1]

    def make(edit: Editor, carriers: Sequence[gs.Tensor | None]) -> Sequence[gs.Tensor]:
        weights = found.matrix.T.reshape([count, *(data.dims[a] for a in summed)])
        weights = weights.transpose([0, *(1 + summed.index(a) for a in sorted(summed))])
        weights = weights.reshape([count, channels, *kernel])
        inputs = [carriers[found.source], edit.constant(weights, str(node.inputs[1 - found.source].name))]
        if found.bias is not None:
            inputs.append(edit.constant(np.array(found.bias), str(node.inputs[2].name)))
        return edit.ops("Conv", inputs, {"kernel_shape": kernel}, hint=label(node))

    return Carried((result,), make)


MATRIX_RULES: Mapping[str, Rule] = MappingProxyType({"Gemm": product, "MatMul": product})
"""Products with a constant matrix."""
