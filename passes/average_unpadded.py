"""AveragePools without pads count them, which is the only counting that Xavier's DLA has.

What it does: AveragePool without pads and with count_include_pad = 0 -> count_include_pad = 1.
Law: there is nothing to count; both countings divide by the size of the window.
Numerics: EXACT - the same function, bit for bit.
Scales: nothing new.
Fires: on AveragePools of any rank with all pads 0 and ceil_mode 0.
Refuses: nothing; with real pads or ceil_mode average-exclusive is the pass.
Source: ONNX AveragePool; POOL-EXCL-82, POOL-EXCL-X.
Example: AveragePool 2x2 -> AveragePool 2x2 with count_include_pad 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, view


@dataclass(frozen=True)
class AverageUnpadded(Pass[None]):
    """AveragePool without pads -> count_include_pad = 1."""

    name: ClassVar[str] = "average-unpadded"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("AveragePool",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if view.attr(node, "count_include_pad", 0):
            return None
        window = view.window(node)
        if window is None or window.padded or window.ceil_mode:
            return None
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        edit.set_attr(match.nodes[0], "count_include_pad", 1)
