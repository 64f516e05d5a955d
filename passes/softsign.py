"""Softsign becomes a quotient.

What it does: Softsign(x) = x/(1 + |x|) -> Div(x, Add(Abs(x), 1)).
Law: the definition of the operator.
Numerics: ROUNDING - onnxruntime may order the operations otherwise.
Scales: Abs takes the scale of the input, the quotient that of the old output.
Fires: on float tensors of any rank where the target takes a Div of two activations (doubtful=true: even if with doubt).
Refuses: a target that has no Div for certain.
Source: ONNX Softsign; ACT-OTHER, UNARY-ABS, EW-DIV.
Example: Softsign(x) -> Div(x, Add(Abs(x), 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential


@dataclass(frozen=True)
class Softsign(Pass[None]):
    """Softsign -> Abs, Add, Div."""

    name: ClassVar[str] = "softsign"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Softsign",)
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        x = node.inputs[0]
        doubt = "" if self.doubtful else exponential.doubt(context, "Div", [x, x])
        return Refusal(doubt, (node,)) if doubt else Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        below = edit.op("Add", [edit.op("Abs", [x]), emit.scalar(edit, 1.0, x, "one")])
        edit.replace_uses(node.outputs[0], edit.op("Div", [x, below]))
