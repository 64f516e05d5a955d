"""Swish and Mish become Sigmoid forms.

What it does: Swish(x; alpha) -> Mul(x, Sigmoid(alpha x)); Mish(x) -> x p (1 + s)/(1 + s^2) with p = Sigmoid(x), s =
    Sigmoid(-x); likewise the Tanh of a Softplus, which is how Mish is written before opset 18.
Law: tanh(ln(1 + e^x)) = (1 - s^2)/(1 + s^2) with s = 1/(1 + e^x) = Sigmoid(-x), and 1 - s = p, so no digits cancel.
Numerics: ROUNDING - the same function by other operations.
Scales: Sigmoid outputs have the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: on float tensors of any rank; Mish only where the target takes a Div of two activations
    (doubtful=true: even if with doubt).
Refuses: a target that has no Div for certain, and a Softplus that others read besides the Tanh.
Source: ONNX Swish (opset 24), Mish (opset 18), Softplus, Tanh; ACT-OTHER, EW-DIV.
Example: Mish(x) -> Mul(x, Mul(p, Div(1 + s, 1 + s s)))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, exponential, view


@dataclass(frozen=True)
class SwishMish(Pass[None]):
    """Swish, Mish -> Sigmoid, Mul, Div."""

    name: ClassVar[str] = "swish-mish"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Swish", "Mish", "Tanh")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if node.op == "Swish":
            return Match((node,), None)
        inner = node.inputs[0]
        doubt = "" if self.doubtful else exponential.doubt(context, "Div", [inner, inner])
        if node.op == "Mish":
            return Refusal(doubt, (node,)) if doubt else Match((node,), None)
        softplus = view.producer(inner)
        if softplus is None or not view.is_op(softplus, "Softplus"):
            return None
        others = [view.label(r) for r in view.consumers(inner) if r is not node]
        if others or context.model.is_pinned(inner):
            return Refusal(f"{', '.join(others) or 'the graph output'} reads the Softplus as well", (node, softplus))
        if doubt:
            return Refusal(doubt, (node, softplus))
        return Match((node, softplus), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        if node.op == "Swish":
            x, alpha = node.inputs[0], float(view.attr(node, "alpha", 1.0))
            inner = x if alpha == 1.0 else edit.op("Mul", [x, emit.scalar(edit, alpha, x, "alpha")])
            result = edit.op("Mul", [x, edit.op("Sigmoid", [inner])])
        elif node.op == "Mish":
            x = node.inputs[0]
            result = edit.op("Mul", [x, _quotient(edit, x)])
        else:
            result = _quotient(edit, match.nodes[1].inputs[0])
        edit.replace_uses(node.outputs[0], result)


def _quotient(edit: Editor, x: Tensor) -> Tensor:
    """tanh(ln(1 + e^x)) as p (1 + s)/(1 + s^2)."""
    s = edit.op("Sigmoid", [edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")])])
    above = edit.op("Add", [s, emit.scalar(edit, 1.0, x, "one")])
    below = edit.op("Add", [edit.op("Mul", [s, s]), emit.scalar(edit, 1.0, x, "one")])
    return edit.op("Mul", [edit.op("Sigmoid", [x]), edit.op("Div", [above, below])])
