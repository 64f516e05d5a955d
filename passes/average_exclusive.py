"""AveragePools that leave pads out of the count become pools that count them, and a factor per window.

What it does: AveragePool with real pads and count_include_pad = 0, or in ceil_mode -> AveragePool with
    count_include_pad = 1 and explicit pads, Mul by kh kw / counted where that is not 1 throughout.
Law: both divide the same sum; the quotient of the divisors depends on the position alone and the shape is static.
Numerics: ROUNDING - one division becomes a division and a product; runtimes sum otherwise in ceil_mode.
Scales: the pool's output takes the scale of the input (POOL-INT8-SCALE), the Mul's that of the old output.
Fires: on 4-D AveragePools of static shape with windows up to 8; the factors fill the full [1, C, H, W], which is the
    form that TensorRT folds into a Scale.
Refuses: a dilated window.
Source: ONNX AveragePool; POOL-EXCL-82, POOL-EXCL-X, POOL-EXCL-O, EW-CONST, SCALE-MODE.
Example: AveragePool 3x3 pads 1 -> AveragePool 3x3 pads 1 counting them, Mul [1,C,H,W] of 1, 1.5 and 2.25
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, pooling, view, windows


@dataclass(frozen=True)
class Counted:
    """Attributes of the counting pool, and the factor per window (None: 1 for all)."""

    attrs: dict[str, Any]
    factor: view.Array | None


@dataclass(frozen=True)
class AverageExclusive(Pass[Counted]):
    """AveragePool that does not count pads -> AveragePool that does, Mul."""

    name: ClassVar[str] = "average-exclusive"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("AveragePool",)

    def match(self, node: Node, context: Context) -> Match[Counted] | Refusal | None:
        axes = windows.axes(node)
        if axes is None or len(axes) != 2 or any(a.kernel > pooling.WINDOW for a in axes):
            return None
        factor = windows.correction(node, axes)
        if factor is None and not view.attr(node, "ceil_mode", 0):
            return None
        if windows.is_dilated(node):
            return Refusal("its window is dilated, the DLA's is not", (node,))
        attrs = {
            "kernel_shape": [a.kernel for a in axes],
            "strides": [a.stride for a in axes],
            "pads": [a.begin for a in axes] + [a.end for a in axes],
            "count_include_pad": 1,
        }
        dims = "x".join(str(a.count) for a in axes)
        text = f"pads {attrs['pads']}" if factor is None else f"factors for {dims} windows"
        return Match((node,), Counted(attrs, factor), text)

    def apply(self, match: Match[Counted], edit: Editor) -> None:
        node, counted = match.nodes[0], match.facts
        pool = edit.op("AveragePool", [node.inputs[0]], counted.attrs)
        if counted.factor is not None:
            pool = edit.op("Mul", [pool, emit.per_position(edit, counted.factor, pool, "counted")])
        edit.replace_uses(node.outputs[0], pool)
