"""Means over H and W become AveragePools that tile the map exactly.

What it does: GlobalAveragePool and ReduceMean over H, W or both (C too) -> AveragePools with kernel = stride <= 8. A
    depthwise Conv of the map's size would be one layer, but has weights as large as the map and a MAC for each element,
    and in INT8 a scale of its own: pools are taken always.
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

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, reduction


@dataclass(frozen=True)
class Mean:
    """The spatial part, and how many channels are averaged besides (1: none)."""

    spatial: reduction.SpatialMean
    channels: int


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
        spatial = reduction.spatial_mean(found.dims, found.axes)
        channels = found.dims[1] if 1 in found.axes else 1
        return Match((node,), Mean(spatial, channels), f"{found.dims[2]}x{found.dims[3]} -> {spatial.text}")

    def apply(self, match: Match[Mean], edit: Editor) -> None:
        node, mean = match.nodes[0], match.facts
        result = reduction.emit_mean(edit, node.inputs[0], mean.spatial)
        if mean.channels > 1:
            result = reduction.emit_channel_sum(edit, result, 1.0 / mean.channels)
        edit.replace_uses(node.outputs[0], result)
