"""Reciprocal and Sqrt become Div and Pow, where the target has them.

What it does: Reciprocal(x) -> Div(1, x); Sqrt(x) -> Pow(x, 0.5).
Law: the definition of the operators; Div and Pow take one constant operand.
Numerics: ROUNDING - a power is computed by other means than a root.
Scales: the result takes the scale of the old output.
Fires: on float tensors of any rank where the target takes Div or Pow, if with doubt (Orin from TensorRT 10 on).
Refuses: nothing.
Source: ONNX Reciprocal, Sqrt; EW-DIV, EW-POW, UNARY-NO.
Example: Sqrt(x) -> Pow(x, 0.5)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view


@dataclass(frozen=True)
class Reciprocal(Pass[None]):
    """Reciprocal -> Div(1, x), Sqrt -> Pow(x, 0.5)."""

    name: ClassVar[str] = "reciprocal"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Reciprocal", "Sqrt")

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        return Match((node,), None) if view.is_float(node.inputs[0]) else None

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        if node.op == "Sqrt":
            result = edit.op("Pow", [x, emit.scalar(edit, 0.5, x, "half")])
        else:
            result = edit.op("Div", [emit.scalar(edit, 1.0, x, "one"), x])
        edit.replace_uses(node.outputs[0], result)
