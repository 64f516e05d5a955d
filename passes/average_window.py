"""AveragePools wider than the DLA's window become cascades of tiles, or a depthwise Conv.

What it does: AveragePool with a window above 8 or a stride above 16 -> AveragePools of at most 8 (where window and
    stride have a common factor, or there is one window only), else a depthwise Conv whose weights are all 1/(kh kw).
    Pools come first although the Conv is one layer: they have no weights, no MACs, and keep the scale of the input.
Law: the mean of the means of equal tiles is the mean; padded zeros are counted like other elements. Where the node
    does not count them, a Mul by kh kw / counted, one factor a window, takes them out again.
Numerics: ROUNDING - the sum is taken in another order.
Scales: pools take the scale of the input; the Conv's and the Mul's output have that of the old output.
Fires: on 4-D AveragePools of static shape.
Refuses: a dilated window, and a window over 32 that no tiling reaches.
Source: ONNX AveragePool; POOL-WIN, POOL-STRIDE, CONV-KERNEL, CONV-STRIDE, CONV-PAD; re-expression R16.
Example: AveragePool 12x12 stride 12 -> AveragePool 6x6 stride 6, AveragePool 2x2 stride 2
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, pooling, view, windows

_KERNEL = 32
_STRIDE = 8


@dataclass(frozen=True)
class Average:
    """Pooling stages, or the attributes of the depthwise Conv where there are none; then a factor per window."""

    stages: tuple[tuple[pooling.Step, ...], ...]
    factor: view.Array | None
    conv: dict[str, Any] | None = None


@dataclass(frozen=True)
class AverageWindow(Pass[Average]):
    """AveragePool with a big window -> AveragePools with windows of at most 8, or depthwise Conv."""

    name: ClassVar[str] = "average-window"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("AveragePool",)

    def match(self, node: Node, context: Context) -> Match[Average] | Refusal | None:
        axes = windows.axes(node)
        if axes is None or len(axes) != 2:
            return None
        if all(a.kernel <= pooling.WINDOW and a.stride <= pooling.STRIDE for a in axes):
            return None
        own = "x".join(str(a.kernel) for a in axes)
        if windows.is_dilated(node):
            return Refusal(f"its {own} window is dilated, the DLA's is not", (node,))
        factor = windows.correction(node, axes)
        plans = [pooling.average_plan(a) for a in axes]
        if all(p is not None for p in plans):
            stages = pooling.align([p for p in plans if p is not None])
            text = ", ".join("x".join(str(s.kernel) for s in stage) for stage in stages)
            return Match((node,), Average(stages, factor), f"{own} -> {text}")
        if any(a.kernel > _KERNEL or (a.stride > _STRIDE and a.count > 1) for a in axes):
            strides = "x".join(str(a.stride) for a in axes)
            return Refusal(f"no tiling makes {own} at stride {strides}, and a Conv takes 32x32 at stride 8", (node,))
        conv = {
            "kernel_shape": [a.kernel for a in axes],
            "strides": [a.stride if a.count > 1 else min(a.stride, _STRIDE) for a in axes],
            "pads": [a.begin for a in axes] + [a.end for a in axes],
        }
        return Match((node,), Average((), factor, conv), f"{own} -> depthwise Conv")

    def apply(self, match: Match[Average], edit: Editor) -> None:
        node, average = match.nodes[0], match.facts
        y = node.inputs[0]
        for stage in average.stages:
            y = edit.op("AveragePool", [y], {**pooling.attributes(stage), "count_include_pad": 1})
        if average.conv is not None:
            channels, kernel = int(y.shape[1]), average.conv["kernel_shape"]
            weight = np.full((channels, 1, *kernel), 1.0 / math.prod(kernel), dtype=view.dtype(y))
            y = edit.op("Conv", [y, edit.constant(weight, "mean")], {**average.conv, "group": channels})
        if average.factor is not None:
            y = edit.op("Mul", [y, emit.per_position(edit, average.factor, y, "counted")])
        edit.replace_uses(node.outputs[0], y)
