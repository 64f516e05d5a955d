"""MaxPools in ceil_mode say their end pads themselves.

What it does: MaxPool with ceil_mode = 1 -> the same pool with ceil_mode = 0 and the end pads that this shape needs.
Law: a window that hangs over the map reads nothing there, and padded minus infinity is nothing for a maximum. A last
    window that would start behind the data is dropped by ONNX.
Numerics: EXACT - the same windows over the same data.
Scales: nothing new.
Fires: on MaxPools of any rank and static shape that the target refuses or doubts in ceil_mode; auto_pad becomes
    explicit. AveragePools are average-exclusive's.
Refuses: a dilated window, and pads above 7.
Source: ONNX MaxPool; POOL-CEIL, POOL-PAD.
Example: MaxPool 3x3 stride 2 ceil_mode 1 on 112x112 -> MaxPool 3x3 stride 2 pads [0, 0, 1, 1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, pooling, view, windows


@dataclass(frozen=True)
class PoolPads(Pass[tuple[int, ...]]):
    """MaxPool with ceil_mode = 1 -> explicit pads, ceil_mode = 0."""

    name: ClassVar[str] = "pool-pads"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("MaxPool",)

    def match(self, node: Node, context: Context) -> Match[tuple[int, ...]] | Refusal | None:
        axes = windows.axes(node)
        if not view.attr(node, "ceil_mode", 0) or axes is None:
            return None
        if windows.is_dilated(node):
            return Refusal("its window is dilated, the DLA's is not", (node,))
        window = view.window(node)
        if window is None:
            return None
        ends = tuple(max(a.end, e) for a, e in zip(axes, window.end, strict=True))
        pads = window.begin + ends
        if max(pads) > pooling.PAD:
            return Refusal(f"its pads would be {max(pads)}, above {pooling.PAD}", (node,))
        return Match((node,), pads, f"pads {list(pads)}")

    def apply(self, match: Match[tuple[int, ...]], edit: Editor) -> None:
        node = match.nodes[0]
        edit.set_attr(node, "ceil_mode", None)
        edit.set_attr(node, "auto_pad", None)
        edit.set_attr(node, "pads", list(match.facts))
