"""Gemm and MatMul by a constant matrix become convolutions, and what stands between them comes along to rank 4.

What it does: the rank-2 part of a network (Flatten, Gemm, activations, Gemm, ...) is carried by [N, C, H, W] tensors: a
    product over flattened [C, H, W] is a Conv with an H x W kernel, one over [N, C] a 1x1 Conv on [N, C, 1, 1]; the
    element-wise operators, BatchNormalizations, Concats, Slices and Softmaxes in between work on the carriers. Where
    the row [N, M] that a product makes becomes an image [N, C, h, w] that operators read, the product is a
    ConvTranspose whose kernel is the image, and a bias for each pixel an Add.
Law: y[n, m] = sum over c, h, w of x[n, c, h, w] W[m, (c, h, w)] + b[m] is a convolution with one position;
    y[n, (c, h, w)] = sum over k of x[n, k] W[k, (c, h, w)] a deconvolution of one.
Numerics: ROUNDING - the sums run in another order; alpha and beta are worked into the weights.
Scales: a carrier inherits the scale of the tensor that it carries; weights keep theirs per output channel.
Fires: where a Gemm or a MatMul with a constant [K, M] matrix of rank 2 and the nodes around it are refused as they are,
    whatever alpha, beta, transA, transB, and with a bias of [M], [1, M] or one value. Flatten, Reshape, Squeeze,
    Unsqueeze and Transpose inside the region are gone; one Reshape is left where a rank-2 tensor has to come out.
Refuses: a bias that differs from row to row; a region that the target would not take after all (kernel beyond 32).
Source: ONNX operators Gemm and MatMul; FC-CONST, FC-RESHAPE, SHUF-FLAT, GEN-RANK, CONV-KERNEL.
Example: Flatten([1, 64, 7, 7]), Gemm to 10 -> Conv 7x7 to [1, 10, 1, 1], Reshape to [1, 10]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import (
    EXACT_RULES,
    MATRIX_RULES,
    SUM_RULES,
    WINDOW_RULES,
    Node,
    Numerics,
    RegionPass,
    Rules,
    is_product,
    region,
    view,
)


@dataclass(frozen=True)
class GemmToConv(RegionPass):
    """Flatten, Gemm, activations -> Conv on rank 4."""

    name: ClassVar[str] = "gemm-to-conv"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gemm", "MatMul")
    rules: ClassVar[Rules] = {**EXACT_RULES, **SUM_RULES, **WINDOW_RULES, **MATRIX_RULES}
    thrifty: ClassVar[bool] = False

    def concerns(self, node: Node) -> bool:
        return view.rank(node.outputs[0]) == 2 and is_product(node)

    def detail(self, found: region.Region) -> str:
        outside = f", {found.borders} Reshape or Transpose left at its border" if found.borders else ""
        return f"{len(found.holds(*self.anchors))} product(s), {len(found.nodes)} nodes to rank 4{outside}"

    def missing(self, node: Node) -> str:
        bias = view.shape(view.input_at(node, 2))
        if bias is not None and len(bias) == 2 and bias[0] != 1:
            return f"the bias has shape {list(bias)}: a convolution's bias is the same for every row"
        return "the shape of the input is not static" if view.shape(view.input_at(node, 0)) is None else ""
