"""Gemm and MatMul by a constant matrix become convolutions, and what stands between them comes along to rank 4.

What it does: the rank-2 part of a network (Flatten, Gemm, activations, Gemm, ...) is carried by [N, C, H, W] tensors: a
    product over flattened [C, H, W] is a Conv with an H x W kernel, one over [N, C] a 1x1 Conv on [N, C, 1, 1]; the
    element-wise operators, BatchNormalizations, Concats, Slices and Softmaxes in between work on the carriers.
Law: y[n, m] = sum over c, h, w of x[n, c, h, w] W[m, (c, h, w)] + b[m] is a convolution with one position.
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
    WINDOW_RULES,
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    is_product,
    region,
    view,
)

_RULES = {**EXACT_RULES, **WINDOW_RULES, **MATRIX_RULES}


@dataclass(frozen=True)
class GemmToConv(Pass[region.Region]):
    """Flatten, Gemm, activations -> Conv on rank 4."""

    name: ClassVar[str] = "gemm-to-conv"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gemm", "MatMul")

    def match(self, node: Node, context: Context) -> Match[region.Region] | Refusal | None:
        if view.rank(node.outputs[0]) != 2 or not is_product(node):
            return None
        found = region.grow(node, context, _RULES)
        if found is None:
            return _why_not(node)
        products = found.holds(*self.anchors)
        if products[0] is not node:
            return None
        outside = f", {found.borders} Reshape or Transpose left at its border" if found.borders else ""
        return Match(found.nodes, found, f"{len(products)} product(s), {len(found.nodes)} nodes to rank 4{outside}")

    def apply(self, match: Match[region.Region], edit: Editor) -> None:
        region.move(match.facts, edit)


def _why_not(node: Node) -> Refusal | None:
    bias = view.shape(view.input_at(node, 2))
    if bias is not None and len(bias) == 2 and bias[0] != 1:
        return Refusal(f"the bias has shape {list(bias)}: a convolution's bias is the same for every row", (node,))
    data = view.input_at(node, 0)
    if view.shape(data) is None:
        return Refusal("the shape of the input is not static", (node,))
    return None
