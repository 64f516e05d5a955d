"""Gelu and Erf become their tanh form.

What it does: Gelu(x) -> x Sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3); Erf(x) -> Tanh(u sqrt(2) x) likewise.
Law: erf(x/sqrt(2)) is tanh(u) up to 3.6e-4; x (1 + tanh(u))/2 = x Sigmoid(2 u).
Numerics: LOSSY - another function; Gelu with approximate = "tanh" is gelu-tanh's and exact.
Scales: the Sigmoid's output has the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: only where lossy rewrites are allowed, on float tensors of any rank; it stands before gelu-logit, whose form is
    exact and takes three times as many operations.
Refuses: nothing.
Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016); ONNX Gelu, Erf; ACT-OTHER, UNARY-NO.
Example: Gelu(x) -> Mul(x, Sigmoid(Mul(x, Add(Mul(Mul(x, x), 0.0713548), 1.59577))))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view

_CUBIC = 0.044715


@dataclass(frozen=True)
class Gelu(Pass[None]):
    """Gelu, Erf -> tanh form."""

    name: ClassVar[str] = "gelu"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "at most 4.8e-4 for Gelu and 3.6e-4 for Erf, for every x"
    anchors: ClassVar[tuple[str, ...]] = ("Gelu", "Erf")

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if not view.is_float(node.inputs[0]) or view.attr(node, "approximate", "none") != "none":
            return None
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        if node.op == "Gelu":
            slope = 2.0 * math.sqrt(2.0 / math.pi)
            inner = emit.odd_cubic(edit, x, slope, slope * _CUBIC)
            edit.replace_uses(node.outputs[0], edit.op("Mul", [x, edit.op("Sigmoid", [inner])]))
        else:
            slope = 2.0 / math.sqrt(math.pi)
            inner = emit.odd_cubic(edit, x, slope, slope * 2.0 * _CUBIC)
            edit.replace_uses(node.outputs[0], edit.op("Tanh", [inner]))
