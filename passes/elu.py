"""Elu, Selu and Celu become Relu, Tanh and a quotient.

What it does: Elu(x) = Relu(x) + alpha (e^-r - 1) with r = Relu(-x) -> Relu(x) - 2 alpha t/(1 + t), t = Tanh(r/2); Selu
    and Celu with their own factors. Where the target has no Div for certain, 1/(1 + t) is a parabola in t and two
    steps of Newton's iteration, eleven element-wise operations in all.
Law: e^-r = (1 - t)/(1 + t) for t = tanh(r/2); written as t/(1 + t), no digits cancel near 0. The divisor lies in
    [1, 2], the parabola misses its inverse by 1/99 at most, and two steps leave (1/99)^4 = 1.1e-8 of the value.
Numerics: ROUNDING - the same function by other operations, to below half an ulp of a float.
Scales: the Tanh's output has the range [0, 1], the quotient [0, 1/2]; the sum takes the scale of the old output.
Fires: on float tensors of any rank (doubtful=true: with a Div even where the target takes it with doubt).
Refuses: INT8 where there is no Div, as the iteration's steps do not survive 8 bits; Exp, Log and Softplus, which the
    DLA has no form of: Sigmoid and Tanh give e^x only as a quotient whose digits are lost for large x, and nothing
    gives a logarithm.
Source: ONNX Elu, Selu, Celu; ACT-OTHER, EW-DIV.
Example: Elu(x) -> Add(Relu(x), Mul(Mul(t, z), 2)), t = Tanh(Relu(Mul(x, -0.5))), z = -1/(1 + t) by iteration
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential, view


@dataclass(frozen=True)
class Form:
    """What is computed, and whether by a Div."""

    bend: exponential.Bend
    divides: bool


@dataclass(frozen=True)
class Elu(Pass[Form]):
    """Elu, Selu, Celu -> Relu, Tanh, and a Div or Newton's iteration."""

    name: ClassVar[str] = "elu"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Elu", "Selu", "Celu", "Softplus", "Exp", "Log")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[Form] | Refusal | None:
        if node.op in ("Softplus", "Exp", "Log"):
            readers = view.consumers(node.outputs[0])
            if node.op == "Softplus" and readers and all(view.is_op(r, "Tanh") for r in readers):
                return None
            kind = "an exponential" if node.op == "Exp" else "a logarithm"
            return Refusal(f"{node.op} needs {kind}, which no operator of the DLA gives to full precision", (node,))
        bend = exponential.bend(node)
        if bend is None:
            return None
        doubt = "" if self.doubtful else exponential.doubt(context, "Div", [node.inputs[0]] * 2)
        refused = exponential.steps_refused(context) if doubt else ""
        if refused:
            return Refusal(f"{doubt}; {refused}", (node,))
        return Match((node,), Form(bend, not doubt), "Newton's iteration in place of a doubtful Div" if doubt else "")

    def apply(self, match: Match[Form], edit: Editor) -> None:
        node, bend = match.nodes[0], match.facts.bend
        x = node.inputs[0]
        t = exponential.emit_tanh(edit, x, bend)
        if match.facts.divides:
            part, sign = edit.op("Div", [t, edit.op("Add", [t, emit.scalar(edit, 1.0, x, "one")])]), 1.0
        else:
            part, sign = edit.op("Mul", [t, exponential.emit_inverse(edit, t)]), -1.0
        edit.replace_uses(node.outputs[0], exponential.emit_sum(edit, x, part, bend, sign))
