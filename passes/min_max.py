"""Min becomes Max of the negatives.

What it does: Min(a, b, ...) -> Mul(Max(Mul(a, -1), Mul(b, -1), ...), -1), two operands at a time.
Law: min(a, b) = -max(-a, -b); changing the sign is exact.
Numerics: EXACT - a sign is changed and a value picked.
Scales: every new tensor takes the scale of the tensor it negates (scales are symmetric).
Fires: on Min of float tensors, any rank, none of them a scalar constant (that is clip-bounds').
Refuses: nothing.
Source: ONNX Min; EW-MIN?, EW-LIST.
Example: Min(a, b) -> Mul(Max(Mul(a, -1), Mul(b, -1)), -1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view


@dataclass(frozen=True)
class MinMax(Pass[None]):
    """Min -> Max of the negatives."""

    name: ClassVar[str] = "min-max"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Min",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if len(node.inputs) < 2 or not view.is_float(node.outputs[0]):
            return None
        if any(view.is_constant(t) for t in node.inputs):
            return None
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        largest, *others = [_negative(edit, t) for t in node.inputs]
        for other in others:
            largest = edit.op("Max", [largest, other])
        edit.replace_uses(node.outputs[0], _negative(edit, largest))


def _negative(edit: Editor, x: Tensor) -> Tensor:
    return edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")])
