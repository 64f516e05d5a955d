"""Reciprocal and Sqrt become Div and Pow, where the target has them.

What it does: Reciprocal(x) -> Div(1, x); Sqrt(x) -> Pow(x, 0.5).
Law: the definition of the operators; Div and Pow take one constant operand.
Numerics: ROUNDING - a power is computed by other means than a root.
Scales: the result takes the scale of the old output.
Fires: on float tensors of any rank where the target takes Div or Pow (doubtful=true: even if with doubt, as on Orin
    from TensorRT 10 on).
Refuses: a target that has no Div or Pow for certain.
Source: ONNX Reciprocal, Sqrt; EW-DIV, EW-POW, UNARY-NO.
Example: Sqrt(x) -> Pow(x, 0.5)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential, view


@dataclass(frozen=True)
class Reciprocal(Pass[None]):
    """Reciprocal -> Div(1, x), Sqrt -> Pow(x, 0.5)."""

    name: ClassVar[str] = "reciprocal"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Reciprocal", "Sqrt")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        x = node.inputs[0]
        if not view.is_float(x):
            return None
        op = "Pow" if node.op == "Sqrt" else "Div"
        doubt = "" if self.doubtful else exponential.doubt(context, op, [x, x])
        return Refusal(doubt, (node,)) if doubt else Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        if node.op == "Sqrt":
            result = edit.op("Pow", [x, emit.scalar(edit, 0.5, x, "half")])
        else:
            result = edit.op("Div", [emit.scalar(edit, 1.0, x, "one"), x])
        edit.replace_uses(node.outputs[0], result)
