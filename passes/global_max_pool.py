"""Maxima over H and W become MaxPools where the target has no reduction by maximum.

What it does: GlobalMaxPool and ReduceMax over H, W or both -> MaxPools of at most 8, overlapping where they must. What
    is an H and W before a Transpose is reduced there, and the result transposed.
Law: a maximum of maxima over windows that cover the map is its maximum, however they overlap.
Numerics: EXACT - a maximum picks a value.
Scales: every new tensor takes the scale of the input (POOL-INT8-SCALE).
Fires: on 4-D float tensors of static shape with keepdims = 1, where the target refuses the node (before DRIVE OS 6.0.9
    and TensorRT 10, and on Xavier).
Refuses: a reduction over a batch axis that is not 1, or over C and a spatial axis at once.
Source: ONNX GlobalMaxPool, ReduceMax; RED-MAX, POOL-WIN; re-expression R15.
Example: GlobalMaxPool(x: [1,8,13,13]) -> MaxPool 7x7 stride 6, MaxPool 2x2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, pooling, reduction


@dataclass(frozen=True)
class Maximum:
    """The stages of MaxPools; ``behind`` a Transpose or of x."""

    stages: tuple[tuple[pooling.Step, ...], ...]
    behind: reduction.Behind | None


@dataclass(frozen=True)
class GlobalMaxPool(Pass[Maximum]):
    """GlobalMaxPool, ReduceMax over H and W -> MaxPool cascade."""

    name: ClassVar[str] = "global-max-pool"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("GlobalMaxPool", "ReduceMax")

    def match(self, node: Node, context: Context) -> Match[Maximum] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 4 or not found.keepdims or found.axes == (1,):
            return None
        behind = reduction.behind_transpose(found)
        if behind is not None and behind.found.axes == (1,):
            return None
        if behind is not None and not set(behind.found.axes) <= {2, 3}:
            behind = None
        nodes = (node,) if behind is None else (node, behind.transpose)
        found = found if behind is None else behind.found
        if not set(found.axes) <= {2, 3}:
            return Refusal(f"it takes the maximum over axes {list(found.axes)}, not over H and W alone", (node,))
        sizes = [found.dims[a] if a in found.axes else 1 for a in (2, 3)]
        stages = pooling.align([pooling.whole_plan(size) for size in sizes])
        text = ", ".join("x".join(str(s.kernel) for s in stage) for stage in stages)
        return Match(nodes, Maximum(stages, behind), f"{found.dims[2]}x{found.dims[3]} -> {text}")

    def apply(self, match: Match[Maximum], edit: Editor) -> None:
        node, behind = match.nodes[0], match.facts.behind
        y = node.inputs[0] if behind is None else behind.found.x
        for stage in match.facts.stages:
            y = edit.op("MaxPool", [y], pooling.attributes(stage))
        if behind is not None:
            y = emit.transpose(edit, y, behind.perm)
        edit.replace_uses(node.outputs[0], y)
