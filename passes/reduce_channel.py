"""Reductions over the channels become a 1x1 Conv with one map, or a tree of Slices and Max.

What it does: ReduceMean and ReduceSum over C -> Conv 1x1 with weights 1/C or 1; ReduceMax over C -> halves of the
    channels by Slice (a one-hot 1x1 Conv where the target does not slice), Max of both, until one is left. What are
    channels before a Transpose are reduced there, and the result transposed.
Law: a sum over channels is a product with a row of ones; a maximum may count the middle channel of an odd half twice.
Numerics: ROUNDING - the sum is taken in another order; a maximum is exact.
Scales: the Conv's output has the scale of the old output; every tensor of the Max tree takes the scale of the input.
Fires: on 4-D float tensors of static shape with keepdims = 1.
Refuses: nothing that is a reduction over C alone.
Source: ONNX ReduceMean, ReduceSum, ReduceMax; RED-AVG, RED-MAX, CONV-OUTMAPS, SLICE-4D, SLICE-NONE; re-expression R17.
Example: ReduceMean(x: [1,64,8,8]; axes 1) -> Conv 1x1, weights [1,64,1,1] of 1/64
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, forms, reduction


@dataclass(frozen=True)
class Reduced:
    """How many channels there are, ``behind`` a Transpose or of x; whether halves of them are Slices."""

    channels: int
    slices: bool
    behind: reduction.Behind | None


@dataclass(frozen=True)
class ReduceChannel(Pass[Reduced]):
    """ReduceMean, ReduceSum, ReduceMax over C -> Conv 1x1, or Slice and Max."""

    name: ClassVar[str] = "reduce-channel"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ReduceMean", "ReduceSum", "ReduceMax")

    def match(self, node: Node, context: Context) -> Match[Reduced] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 4 or not found.keepdims:
            return None
        behind = None if found.axes == (1,) else reduction.behind_transpose(found)
        found = found if behind is None else behind.found
        if found.axes != (1,):
            return None
        nodes = (node,) if behind is None else (node, behind.transpose)
        slices = node.op == "ReduceMax" and forms.takes_slices(context, found.x)
        return Match(nodes, Reduced(found.dims[1], slices, behind), f"{found.dims[1]} channels")

    def apply(self, match: Match[Reduced], edit: Editor) -> None:
        node, channels, behind = match.nodes[0], match.facts.channels, match.facts.behind
        y = node.inputs[0] if behind is None else behind.found.x
        if node.op != "ReduceMax":
            y = reduction.emit_channel_sum(edit, y, 1.0 / channels if node.op == "ReduceMean" else 1.0)
        else:
            while channels > 1:
                half = (channels + 1) // 2
                low = _part(edit, y, 0, half, match.facts.slices)
                high = _part(edit, y, channels - half, channels, match.facts.slices)
                y, channels = edit.op("Max", [low, high]), half
        if behind is not None:
            y = emit.transpose(edit, y, behind.perm)
        edit.replace_uses(node.outputs[0], y)


def _part(edit: Editor, x: Tensor, start: int, end: int, slices: bool) -> Tensor:
    return emit.slice_(edit, x, [start], [end], [1]) if slices else forms.pick_channels(edit, x, range(start, end))
