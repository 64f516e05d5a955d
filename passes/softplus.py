"""Softplus becomes Relu, Sigmoid and a polynomial.

What it does: Softplus(x) -> Relu(x) + v k(v) with v = Sigmoid(-|x|) and a polynomial k of degree 4.
Law: ln(1 + e^x) = max(x, 0) - ln(1 - v), and v lies in (0, 1/2], where -ln(1 - v)/v is a smooth function.
Numerics: LOSSY - another function.
Scales: Relu takes the scale of the input, the Sigmoid 1/127 (Q-SIGMOID), the sum that of the old output.
Fires: only where lossy rewrites are allowed, on float tensors of any rank.
Refuses: nothing; a Softplus before a Tanh is left to mish-polynomial and swish-mish.
Source: ONNX Softplus; ACT-OTHER, UNARY-ABS; minimax fit by Lawson's iteration.
Example: Softplus(x) -> Add(Relu(x), Mul(v, k(v))), v = Sigmoid(Mul(Abs(x), -1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view

_COEFFICIENTS = (1.0007866, 0.47966473, 0.500471301, -0.320077468, 0.968774808)


@dataclass(frozen=True)
class Softplus(Pass[None]):
    """Softplus -> Relu, Sigmoid and polynomial."""

    name: ClassVar[str] = "softplus"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "at most 1.2e-5, for every x"
    anchors: ClassVar[tuple[str, ...]] = ("Softplus",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        readers = view.consumers(node.outputs[0])
        if readers and all(view.is_op(r, "Tanh") for r in readers):
            return None
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        v = edit.op("Sigmoid", [edit.op("Mul", [edit.op("Abs", [x]), emit.scalar(edit, -1.0, x, "minus")])])
        part = edit.op("Mul", [v, emit.polynomial(edit, v, _COEFFICIENTS)])
        edit.replace_uses(node.outputs[0], edit.op("Add", [edit.op("Relu", [x]), part]))
