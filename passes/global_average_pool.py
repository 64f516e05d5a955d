"""Means over H and W become AveragePools that tile the map exactly.

What it does: GlobalAveragePool and ReduceMean over H, W or both (C too) -> AveragePools with kernel = stride <= 8. A
    depthwise Conv of the map's size would be one layer, but has weights as large as the map and a MAC for each element,
    and in INT8 a scale of its own: pools are taken always. What is an H and W before a Transpose is averaged there, and
    the result transposed.
Law: the mean of the means of equal tiles is the mean. A size with a prime factor above 7 is padded with zeros to the
    next size that has tiles, and the count of the zeros is taken out by a Mul.
Numerics: ROUNDING - the sum is taken in another order.
Scales: every AveragePool output takes the scale of the input (POOL-INT8-SCALE); the Mul has that of the old output.
Fires: on 4-D float tensors of static shape with keepdims = 1; the batch axis may be named where it is 1.
Refuses: a reduction over a batch axis that is not 1.
Source: ONNX GlobalAveragePool, ReduceMean; RED-AVG, POOL-WIN, POOL-STRIDE; re-expression R16.
Example: GlobalAveragePool(x: [1,8,14,14]) -> AveragePool 7x7, AveragePool 2x2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, reduction, view

_FAR = 16
"""Nodes between a channels-last mean and what turned the tensor."""


@dataclass(frozen=True)
class Mean:
    """The spatial part, and how many channels are averaged besides (1: none); ``behind`` a Transpose or of x."""

    spatial: reduction.SpatialMean
    channels: int
    behind: reduction.Behind | None = None


@dataclass(frozen=True)
class GlobalAveragePool(Pass[Mean]):
    """GlobalAveragePool, ReduceMean over H and W -> AveragePool cascade."""

    name: ClassVar[str] = "global-average-pool"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("GlobalAveragePool", "ReduceMean")

    def match(self, node: Node, context: Context) -> Match[Mean] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 4 or not found.keepdims:
            return None
        if found.axes == (1,):
            return None
        if 0 in found.axes:
            return Refusal(f"it averages over the batch axis of length {found.dims[0]}", (node,))
        behind = reduction.behind_transpose(found)
        if behind is not None and behind.found.axes == (1,):
            return None
        if behind is not None and not set(behind.found.axes) <= {2, 3}:
            behind = None
        if behind is None and _may_turn(found):
            return None
        nodes = (node,) if behind is None else (node, behind.transpose)
        found = found if behind is None else behind.found
        spatial = reduction.spatial_mean(found.dims, found.axes)
        channels = found.dims[1] if 1 in found.axes else 1
        return Match(nodes, Mean(spatial, channels, behind), f"{found.dims[2]}x{found.dims[3]} -> {spatial.text}")

    def apply(self, match: Match[Mean], edit: Editor) -> None:
        node, mean = match.nodes[0], match.facts
        x = node.inputs[0] if mean.behind is None else mean.behind.found.x
        result = reduction.emit_mean(edit, x, mean.spatial)
        if mean.channels > 1:
            result = reduction.emit_channel_sum(edit, result, 1.0 / mean.channels)
        if mean.behind is not None:
            result = emit.transpose(edit, result, mean.behind.perm)
        edit.replace_uses(node.outputs[0], result)


def _may_turn(found: reduction.Reduction) -> bool:
    """Whether it averages the H and W of a channels-last tensor, which may yet be one behind a Transpose."""
    x = found.x
    for _ in range(_FAR):
        maker = view.producer(x)
        if found.axes != (1, 2) or maker is None or view.is_op(maker, "Conv", "ConvTranspose"):
            return False
        if view.is_op(maker, "Reshape", "Transpose"):
            return True
        x = next((t for t in maker.inputs if view.shape(t) == found.dims), maker.inputs[0])
    return False
