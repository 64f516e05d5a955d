"""Products of token tensors with a constant matrix become 1x1 convolutions where the layout comes out even.

What it does: MatMul and Gemm by a constant [K, M] matrix on [N, T, K] or [N, H, W, K] work on the NCHW tensor that
    holds the same elements as [N, K, T] or [N, K, H, W]: the product is a 1x1 Conv, and Transposes and Reshapes between
    are gone.
Law: y[n, t, m] = sum over k of x[n, t, k] W[k, m] is a convolution with a 1x1 kernel over the positions t.
Numerics: ROUNDING - the sums run in another order.
Scales: a carrier inherits the scale of the tensor that it carries; weights keep theirs per output channel.
Fires: where no more Reshapes and Transposes are left inside the model than there were: a product that stands between
    operators which only work on tokens (attention, LayerNormalization) stays, since it would become an island.
Refuses: a part whose borders would need more Reshapes and Transposes than go.
Source: FC-CONST, FC-RESHAPE; NVIDIA's and Microsoft's MatMul -> Transpose, Conv, Transpose rewrite.
Example: Transpose(NHWC), MatMul(96 -> 384), Relu, MatMul(384 -> 96), Transpose(NCHW) -> Conv 1x1, Relu, Conv 1x1
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
class MatmulTokens(RegionPass):
    """MatMul on tokens -> 1x1 Conv, Transposes cancelled."""

    name: ClassVar[str] = "matmul-tokens"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("MatMul",)
    rules: ClassVar[Rules] = {**EXACT_RULES, **SUM_RULES, **WINDOW_RULES, **MATRIX_RULES}

    def concerns(self, node: Node) -> bool:
        return view.rank(node.outputs[0]) not in (None, 0, 1, 2) and is_product(node)

    def detail(self, found: region.Region) -> str:
        return f"{len(found.holds(*self.anchors))} products, {found.moves} Reshapes and Transposes gone"
