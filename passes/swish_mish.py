"""Swish and Mish become Sigmoid forms.

What it does: Swish(x; alpha) -> Mul(x, Sigmoid(alpha x)); Mish(x) -> x p (1 + s)/(1 + s^2) with p = Sigmoid(x), s =
    Sigmoid(-x); likewise the Tanh of a Softplus, or of Log(1 + Exp(x)), which is how Mish is written before opset 18.
    Where the target has no Div for certain, 1/(1 + s^2) is a parabola in s^2 and two steps of Newton's iteration.
Law: tanh(ln(1 + e^x)) = (1 - s^2)/(1 + s^2) with s = 1/(1 + e^x) = Sigmoid(-x), and 1 - s = p, so no digits cancel. The
    divisor lies in [1, 2], the parabola misses its inverse by 1/99 at most, and two steps leave 1.1e-8 of the value.
Numerics: ROUNDING - the same function by other operations, to below half an ulp of a float.
Scales: Sigmoid outputs have the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: on float tensors of any rank (doubtful=true: with a Div even where the target takes it with doubt).
Refuses: INT8 where there is no Div, as the iteration's steps do not survive 8 bits; a Softplus that others read
    besides the Tanh.
Source: ONNX Swish (opset 24), Mish (opset 18), Softplus, Tanh; ACT-OTHER, EW-DIV.
Example: Mish(x) -> Mul(x, Mul(p, Div(1 + s, 1 + s s)))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, exponential, view


@dataclass(frozen=True)
class SwishMish(Pass[bool]):
    """Swish, Mish -> Sigmoid, Mul, and a Div or Newton's iteration."""

    name: ClassVar[str] = "swish-mish"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Swish", "Mish", "Tanh")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[bool] | Refusal | None:
        if node.op == "Swish":
            return Match((node,), True)
        nodes: tuple[Node, ...] = (node,)
        if node.op == "Tanh":
            known = exponential.softplus_of(node, context.model)
            if known is None:
                return None
            nodes = (node, *known.nodes)
            if known.others:
                return Refusal(known.others, nodes)
        doubt = "" if self.doubtful else exponential.doubt(context, "Div", [node.inputs[0]] * 2)
        refused = exponential.steps_refused(context) if doubt else ""
        if refused:
            return Refusal(f"{doubt}; {refused}", nodes)
        return Match(nodes, not doubt, "Newton's iteration in place of a doubtful Div" if doubt else "")

    def apply(self, match: Match[bool], edit: Editor) -> None:
        node, divides = match.nodes[0], match.facts
        x = match.nodes[-1].inputs[0]
        if node.op == "Swish":
            alpha = float(view.attr(node, "alpha", 1.0))
            inner = x if alpha == 1.0 else edit.op("Mul", [x, emit.scalar(edit, alpha, x, "alpha")])
            result = edit.op("Mul", [x, edit.op("Sigmoid", [inner])])
        else:
            minus = edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")])
            part = _quotient(edit, x, minus, divides)
            # The iteration gives the negative of an inverse; Mish's own factor x is there with either sign.
            sign = x if divides else minus
            if node.op == "Tanh":
                result = part if divides else edit.op("Mul", [part, emit.scalar(edit, -1.0, x, "minus")])
            else:
                result = edit.op("Mul", [sign, part])
        edit.replace_uses(node.outputs[0], result)


def _quotient(edit: Editor, x: Tensor, minus: Tensor, divides: bool) -> Tensor:
    """tanh(ln(1 + e^x)) as p (1 + s)/(1 + s^2), or the negative of it where nothing is divided."""
    s = edit.op("Sigmoid", [minus])
    above = edit.op("Add", [s, emit.scalar(edit, 1.0, x, "one")])
    square = edit.op("Mul", [s, s])
    if divides:
        part = edit.op("Div", [above, edit.op("Add", [square, emit.scalar(edit, 1.0, x, "one")])])
    else:
        part = edit.op("Mul", [above, exponential.emit_inverse(edit, square)])
    return edit.op("Mul", [edit.op("Sigmoid", [x]), part])
