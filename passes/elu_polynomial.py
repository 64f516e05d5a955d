"""Elu, Selu and Celu become Relu, Tanh and a polynomial, where nothing may be left to a Div.

What it does: Elu(x) -> Relu(x) - 2 alpha t q(t) with t = Tanh(Relu(-x)/2) and a polynomial q of degree 4; Selu and Celu
    with their own factors.
Law: e^-r - 1 = -2 t/(1 + t) for t = tanh(r/2); q(t) is 1/(1 + t) over [0, 1], fitted so that t q(t) errs least.
Numerics: LOSSY - another function.
Scales: the Tanh's output has the range [0, 1], t q(t) [0, 1/2]; the sum takes the scale of the old output.
Fires: only where lossy rewrites are allowed, on float tensors of any rank; it stands before elu, whose form is exact
    and takes a Div or more operations.
Refuses: nothing.
Source: ONNX Elu, Selu, Celu; ACT-OTHER, EW-DIV; minimax fit by Lawson's iteration.
Example: Elu(x) -> Add(Relu(x), Mul(Mul(t, q(t)), -2)), t = Tanh(Relu(Mul(x, -0.5)))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential

_COEFFICIENTS = (0.997781063, -0.963640487, 0.796874375, -0.446468147, 0.115495808)


@dataclass(frozen=True)
class EluPolynomial(Pass[exponential.Bend]):
    """Elu, Selu, Celu -> Relu, Tanh and polynomial."""

    name: ClassVar[str] = "elu-polynomial"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "at most 9.0e-5 times alpha (and gamma for Selu), for every x"
    anchors: ClassVar[tuple[str, ...]] = ("Elu", "Selu", "Celu")

    def match(self, node: Node, context: Context) -> Match[exponential.Bend] | Refusal | None:
        bend = exponential.bend(node)
        return None if bend is None else Match((node,), bend)

    def apply(self, match: Match[exponential.Bend], edit: Editor) -> None:
        node = match.nodes[0]
        t = exponential.emit_tanh(edit, node.inputs[0], match.facts)
        part = edit.op("Mul", [t, emit.polynomial(edit, t, _COEFFICIENTS)])
        edit.replace_uses(node.outputs[0], exponential.emit_sum(edit, node.inputs[0], part, match.facts))
