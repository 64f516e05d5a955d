"""Elu, Selu and Celu become Relu, Tanh and a quotient.

What it does: Elu(x) = Relu(x) + alpha (e^-r - 1) with r = Relu(-x) -> Relu(x) - 2 alpha t/(1 + t), t = Tanh(r/2);
    Selu and Celu with their own factors.
Law: e^-r = (1 - t)/(1 + t) for t = tanh(r/2); written as t/(1 + t), no digits cancel near 0.
Numerics: ROUNDING - the same function by other operations.
Scales: the Tanh's output has the range [0, 1], the quotient [0, 1/2]; the sum takes the scale of the old output.
Fires: on float tensors of any rank where the target takes a Div of two activations, if with doubt.
Refuses: Exp, Log and Softplus, which the DLA has no form of: Sigmoid and Tanh give e^x only as a quotient whose digits
    are lost for large x, and nothing gives a logarithm.
Source: ONNX Elu, Selu, Celu; ACT-OTHER, EW-DIV.
Example: Elu(x) -> Add(Relu(x), Mul(Div(t, Add(t, 1)), -2)), t = Tanh(Relu(Mul(x, -0.5)))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view


@dataclass(frozen=True)
class Bend:
    """f(x) = right Relu(x) + left (e^(-Relu(-x)/length) - 1)."""

    left: float
    right: float = 1.0
    length: float = 1.0


@dataclass(frozen=True)
class Elu(Pass[Bend]):
    """Elu, Selu, Celu -> Relu, Tanh, Div."""

    name: ClassVar[str] = "elu"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Elu", "Selu", "Celu", "Softplus", "Exp", "Log")

    def match(self, node: Node, context: Context) -> Match[Bend] | Refusal | None:
        if node.op in ("Softplus", "Exp", "Log"):
            if all(view.is_op(r, "Tanh") for r in view.consumers(node.outputs[0])) and node.outputs[0].outputs:
                return None
            kind = "a logarithm" if node.op != "Exp" else "an exponential"
            return Refusal(f"{node.op} needs {kind}, which no operator of the DLA gives to full precision", (node,))
        alpha = float(view.attr(node, "alpha", 1.67326319217681884765625 if node.op == "Selu" else 1.0))
        if node.op == "Elu":
            return Match((node,), Bend(alpha))
        if node.op == "Celu":
            return Match((node,), Bend(alpha, length=alpha)) if alpha > 0.0 else None
        gamma = float(view.attr(node, "gamma", 1.05070102214813232421875))
        return Match((node,), Bend(alpha * gamma, gamma))

    def apply(self, match: Match[Bend], edit: Editor) -> None:
        node, bend = match.nodes[0], match.facts
        x = node.inputs[0]
        half = edit.op("Mul", [x, emit.scalar(edit, -0.5 / bend.length, x, "half")])
        t = edit.op("Tanh", [edit.op("Relu", [half])])
        quotient = edit.op("Div", [t, edit.op("Add", [t, emit.scalar(edit, 1.0, x, "one")])])
        left = edit.op("Mul", [quotient, emit.scalar(edit, -2.0 * bend.left, x, "left")])
        right = edit.op("Relu", [x])
        if bend.right != 1.0:
            right = edit.op("Mul", [right, emit.scalar(edit, bend.right, x, "right")])
        edit.replace_uses(node.outputs[0], edit.op("Add", [right, left]))
