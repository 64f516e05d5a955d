"""Gelu and Erf become a Sigmoid or Tanh of a polynomial that is right to float's own rounding.

What it does: Gelu(x) -> x Sigmoid(x P(u)) with u = min((x/5.625)^2, 1) and a polynomial P of degree 6; Erf(z) ->
    Tanh(z P(u)/sqrt(2)) with x = z sqrt(2). Seventeen element-wise operations in all.
Law: Phi(x), the normal distribution, is Sigmoid(ln(Phi(x)/Phi(-x))); x P(x^2) is that logarithm up to |x| = 5.625,
    fitted so that Gelu errs least. Beyond it, P(1) > 3 keeps the Sigmoid within 6e-8/|x| of 0 or 1, as Phi is.
Numerics: ROUNDING - Gelu is missed by 6.8e-8 and Erf by 1.4e-7 at most, for every x: half an ulp and one ulp of 1.
Scales: the Sigmoid's output has the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: on float tensors of any rank; gelu, which is cheaper, goes first where lossy rewrites are allowed.
Refuses: INT8, as the polynomial does not survive 8 bits.
Source: ONNX Gelu (opset 20), Erf; ACT-OTHER, UNARY-NO; minimax fit by Lawson's iteration.
Example: Gelu(x) -> Mul(x, Sigmoid(Mul(x, P(Clip(h h, 0, 1))))), h = Mul(x, 0.177778)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view

_REACH = 5.625
_COEFFICIENTS = (
    1.5957689853269463,
    2.2992553267945697,
    -0.06598393704875205,
    -3.502007111617071,
    7.964181624882379,
    -8.476451075644803,
    3.630998811359973,
)
"""Of P in u = (x/_REACH)^2, lowest first."""


@dataclass(frozen=True)
class GeluLogit(Pass[None]):
    """Gelu, Erf -> Sigmoid or Tanh of a polynomial, to rounding."""

    name: ClassVar[str] = "gelu-logit"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gelu", "Erf")

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if not view.is_float(node.inputs[0]) or view.attr(node, "approximate", "none") != "none":
            return None
        if context.target.precision.value == "int8":
            return Refusal("its polynomial does not survive 8 bits (gelu is lossy and does)", (node,))
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        stretch = math.sqrt(2.0) if node.op == "Erf" else 1.0
        share = edit.op("Mul", [x, emit.scalar(edit, stretch / _REACH, x, "reach")])
        square = emit.clip(edit, edit.op("Mul", [share, share]), 0.0, 1.0)
        slope = emit.polynomial(edit, square, [c / stretch for c in _COEFFICIENTS])
        inner = edit.op("Mul", [x, slope])
        if node.op == "Erf":
            edit.replace_uses(node.outputs[0], edit.op("Tanh", [inner]))
        else:
            edit.replace_uses(node.outputs[0], edit.op("Mul", [x, edit.op("Sigmoid", [inner])]))
