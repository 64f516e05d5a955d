"""Reductions over the channels become a 1x1 Conv with one map, or a tree of Slices and Max.

What it does: ReduceMean and ReduceSum over C -> Conv 1x1 with weights 1/C or 1; ReduceMax over C -> halves of the
    channels by Slice, Max of both, until one is left.
Law: a sum over channels is a product with a row of ones; a maximum may count the middle channel of an odd half twice.
Numerics: ROUNDING - the sum is taken in another order; a maximum is exact.
Scales: the Conv's output has the scale of the old output; every tensor of the Max tree takes the scale of the input.
Fires: on 4-D float tensors of static shape with keepdims = 1.
Refuses: nothing that is a reduction over C alone.
Source: ONNX ReduceMean, ReduceSum, ReduceMax; RED-AVG, RED-MAX, CONV-OUTMAPS, SLICE-4D; re-expression R17.
Example: ReduceMean(x: [1,64,8,8]; axes 1) -> Conv 1x1, weights [1,64,1,1] of 1/64
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, reduction


@dataclass(frozen=True)
class ReduceChannel(Pass[int]):
    """ReduceMean, ReduceSum, ReduceMax over C -> Conv 1x1, or Slice and Max."""

    name: ClassVar[str] = "reduce-channel"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ReduceMean", "ReduceSum", "ReduceMax")

    def match(self, node: Node, context: Context) -> Match[int] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 4 or not found.keepdims or found.axes != (1,):
            return None
        return Match((node,), found.dims[1], f"{found.dims[1]} channels")

    def apply(self, match: Match[int], edit: Editor) -> None:
        node, channels = match.nodes[0], match.facts
        y = node.inputs[0]
        if node.op != "ReduceMax":
            y = reduction.emit_channel_sum(edit, y, 1.0 / channels if node.op == "ReduceMean" else 1.0)
        else:
            while channels > 1:
                half = (channels + 1) // 2
                low = emit.slice_(edit, y, [0], [half], [1])
                high = emit.slice_(edit, y, [channels - half], [channels], [1])
                y, channels = edit.op("Max", [low, high]), half
        edit.replace_uses(node.outputs[0], y)
