"""Sums over H, W and C become means times a count, or a 1x1 Conv.

What it does: ReduceSum, ReduceL1, ReduceSumSquare and ReduceL2 over H and W -> AveragePools, Mul by H W, with Abs
    or x x before and Pow 0.5 behind as the operator says; over C, a Conv 1x1 of ones.
Law: a sum is the mean times the count.
Numerics: ROUNDING - the sum is taken in another order, and divided and multiplied by the count.
Scales: the AveragePool's output takes the scale of its input (POOL-INT8-SCALE), the last tensor that of the old output.
Fires: on 4-D float tensors of static shape with keepdims = 1.
Refuses: a reduction over a batch axis that is not 1; ReduceL2 where the target has no Pow for certain (doubtful=true:
    even if with doubt).
Source: ONNX ReduceSum, ReduceL1, ReduceSumSquare, ReduceL2; RED-MAX, POOL-WIN; re-expression R17.
Example: ReduceSum(x: [1,8,14,14]; axes 2, 3) -> AveragePool 7x7, AveragePool 2x2, Mul by 196
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential, reduction


@dataclass(frozen=True)
class Sum:
    """The spatial mean, the count that makes it a sum, and whether channels are summed as well."""

    spatial: reduction.SpatialMean
    count: int
    channels: bool


@dataclass(frozen=True)
class ReduceSum(Pass[Sum]):
    """ReduceSum, ReduceL1, ReduceSumSquare, ReduceL2 -> AveragePool times count, Conv 1x1 of ones."""

    name: ClassVar[str] = "reduce-sum"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ReduceSum", "ReduceL1", "ReduceSumSquare", "ReduceL2")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[Sum] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 4 or not found.keepdims:
            return None
        if node.op == "ReduceSum" and found.axes == (1,):
            return None
        if 0 in found.axes:
            return Refusal(f"it sums over the batch axis of length {found.dims[0]}", (node,))
        if node.op == "ReduceL2" and not self.doubtful:
            doubt = exponential.doubt(context, "Pow", [found.x, found.x])
            if doubt:
                return Refusal(doubt, (node,))
        spatial = reduction.spatial_mean(found.dims, found.axes)
        count = math.prod(found.dims[a] for a in found.axes if a > 1)
        text = f"{found.dims[2]}x{found.dims[3]} -> {spatial.text}, count {count}"
        return Match((node,), Sum(spatial, count, 1 in found.axes), text)

    def apply(self, match: Match[Sum], edit: Editor) -> None:
        node, total = match.nodes[0], match.facts
        x = node.inputs[0]
        if node.op == "ReduceL1":
            x = edit.op("Abs", [x])
        elif node.op in ("ReduceSumSquare", "ReduceL2"):
            x = edit.op("Mul", [x, x])
        result = reduction.emit_mean(edit, x, total.spatial, 1.0 if total.channels else float(total.count))
        if total.channels:
            result = reduction.emit_channel_sum(edit, result, float(total.count))
        if node.op == "ReduceL2":
            result = edit.op("Pow", [result, emit.scalar(edit, 0.5, x, "half")])
        edit.replace_uses(node.outputs[0], result)
