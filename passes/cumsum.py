"""CumSum over the channels becomes a 1x1 Conv with triangular weights.

What it does: CumSum over C of a 4-D tensor -> Conv 1x1, weights [C, C, 1, 1] of ones below the diagonal.
Law: the k-th partial sum is the product with a row of k ones; exclusive leaves the diagonal out, reverse
    turns it round.
Numerics: ROUNDING - the sums are taken in another order.
Scales: the Conv's output has the scale of the old output.
Fires: on 4-D float tensors of static shape with a constant axis 1.
Refuses: nothing; over other axes it is not this pass's business.
Source: ONNX CumSum; CONV-OUTMAPS; re-expression R11.
Example: CumSum(x: [1,3,4,4]; axis 1) -> Conv 1x1 with [[1,0,0],[1,1,0],[1,1,1]]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, view


@dataclass(frozen=True)
class CumSum(Pass[int]):
    """CumSum over C -> Conv 1x1, triangular."""

    name: ClassVar[str] = "cumsum"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("CumSum",)

    def match(self, node: Node, context: Context) -> Match[int] | Refusal | None:
        x, axis = view.input_at(node, 0), view.constant_value(view.input_at(node, 1))
        dims = view.shape(x)
        if dims is None or len(dims) != 4 or 0 in dims or axis is None or not view.is_float(x):
            return None
        if view.axis(int(axis.reshape(-1)[0]), 4) != 1:
            return None
        return Match((node,), dims[1], f"{dims[1]} channels")

    def apply(self, match: Match[int], edit: Editor) -> None:
        node, channels = match.nodes[0], match.facts
        x = node.inputs[0]
        exclusive = bool(view.attr(node, "exclusive", 0))
        weight = np.tril(np.ones((channels, channels)), -1 if exclusive else 0)
        if view.attr(node, "reverse", 0):
            weight = weight.T
        kernel = weight.reshape(channels, channels, 1, 1).astype(view.dtype(x))
        edit.replace_uses(
            node.outputs[0], edit.op("Conv", [x, edit.constant(kernel, "partial")], {"kernel_shape": [1, 1]})
        )
