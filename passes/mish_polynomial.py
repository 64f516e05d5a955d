"""Mish becomes Sigmoid and a polynomial, where nothing may be left to a Div.

What it does: Mish(x) -> x p (1 + s p k(s)) with p = Sigmoid(x), s = 1 - p and a polynomial k of degree 3; likewise
    the Tanh of a Softplus.
Law: tanh(ln(1 + e^x)) = p (1 + s p/(1 + s^2)); k(s) is 1/(1 + s^2) over [0, 1], fitted so that the error of Mish, which
    has the factor x p^2 s, is least.
Numerics: LOSSY - another function.
Scales: Sigmoid outputs have the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: only where lossy rewrites are allowed, on float tensors of any rank; it stands before swish-mish, whose form is
    exact and takes a Div or more operations.
Refuses: a Softplus that others read besides the Tanh.
Source: ONNX Mish, Softplus, Tanh; ACT-OTHER, EW-DIV; minimax fit by Lawson's iteration.
Example: Mish(x) -> Mul(Mul(x, p), Add(Mul(Mul(p, s), k(s)), 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, exponential

_COEFFICIENTS = (1.00063022, -0.000328171665, -1.10723435, 0.61946191)


@dataclass(frozen=True)
class MishPolynomial(Pass[None]):
    """Mish -> Sigmoid and polynomial."""

    name: ClassVar[str] = "mish-polynomial"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "at most 6.0e-5 for Mish, for every x; 1.6e-4 for the Tanh of a Softplus"
    anchors: ClassVar[tuple[str, ...]] = ("Mish", "Tanh")

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if node.op == "Mish":
            return Match((node,), None)
        known = exponential.softplus_of(node, context.model)
        if known is None:
            return None
        nodes = (node, *known.nodes)
        return Refusal(known.others, nodes) if known.others else Match(nodes, None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        if node.op == "Mish":
            x = node.inputs[0]
            p = edit.op("Sigmoid", [x])
            edit.replace_uses(node.outputs[0], edit.op("Mul", [edit.op("Mul", [x, p]), _growth(edit, p)]))
        else:
            p = edit.op("Sigmoid", [match.nodes[-1].inputs[0]])
            edit.replace_uses(node.outputs[0], edit.op("Mul", [p, _growth(edit, p)]))


def _growth(edit: Editor, p: Tensor) -> Tensor:
    """1 + s p k(s), between 1 and 1.21."""
    s = edit.op("Add", [edit.op("Mul", [p, emit.scalar(edit, -1.0, p, "minus")]), emit.scalar(edit, 1.0, p, "one")])
    bump = edit.op("Mul", [edit.op("Mul", [p, s]), emit.polynomial(edit, s, _COEFFICIENTS)])
    return edit.op("Add", [bump, emit.scalar(edit, 1.0, p, "one")])
