"""Elu, Selu and Celu become Relu, Tanh and a quotient.

What it does: Elu(x) = Relu(x) + alpha (e^-r - 1) with r = Relu(-x) -> Relu(x) - 2 alpha t/(1 + t), t = Tanh(r/2);
    Selu and Celu with their own factors.
Law: e^-r = (1 - t)/(1 + t) for t = tanh(r/2); written as t/(1 + t), no digits cancel near 0.
Numerics: ROUNDING - the same function by other operations.
Scales: the Tanh's output has the range [0, 1], the quotient [0, 1/2]; the sum takes the scale of the old output.
Fires: on float tensors of any rank where the target takes a Div of two activations (doubtful=true: even if with doubt).
Refuses: a target that has no Div for certain; Exp, Log and Softplus, which the DLA has no form of: Sigmoid and Tanh
    give e^x only as a quotient whose digits are lost for large x, and nothing gives a logarithm.
Source: ONNX Elu, Selu, Celu; ACT-OTHER, EW-DIV.
Example: Elu(x) -> Add(Relu(x), Mul(Div(t, Add(t, 1)), -2)), t = Tanh(Relu(Mul(x, -0.5)))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, exponential, view


@dataclass(frozen=True)
class Elu(Pass[exponential.Bend]):
    """Elu, Selu, Celu -> Relu, Tanh, Div."""

    name: ClassVar[str] = "elu"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Elu", "Selu", "Celu", "Softplus", "Exp", "Log")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[exponential.Bend] | Refusal | None:
        if node.op in ("Softplus", "Exp", "Log"):
            readers = view.consumers(node.outputs[0])
            if node.op == "Softplus" and readers and all(view.is_op(r, "Tanh") for r in readers):
                return None
            kind = "an exponential" if node.op == "Exp" else "a logarithm"
            return Refusal(f"{node.op} needs {kind}, which no operator of the DLA gives to full precision", (node,))
        x, bend = node.inputs[0], exponential.bend(node)
        doubt = "" if self.doubtful else exponential.doubt(context, "Div", [x, x])
        if doubt:
            return Refusal(doubt, (node,))
        return None if bend is None else Match((node,), bend)

    def apply(self, match: Match[exponential.Bend], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        t = exponential.emit_tanh(edit, x, match.facts)
        part = edit.op("Div", [t, edit.op("Add", [t, emit.scalar(edit, 1.0, x, "one")])])
        edit.replace_uses(node.outputs[0], exponential.emit_sum(edit, x, part, match.facts))
