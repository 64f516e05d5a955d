"""Gelu in its tanh form becomes Sigmoid and products.

What it does: Gelu(x; approximate "tanh") -> x Sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3).
Law: (1 + tanh(u))/2 = Sigmoid(2 u).
Numerics: ROUNDING - the same function by other operations.
Scales: the Sigmoid's output has the fixed scale 1/127 (Q-SIGMOID), the last tensor that of the old output.
Fires: on float tensors of any rank.
Refuses: nothing; with approximate = "none" the lossy pass gelu is asked for.
Source: ONNX Gelu (opset 20); ACT-OTHER.
Example: Gelu(x) -> Mul(x, Sigmoid(Mul(x, Add(Mul(Mul(x, x), 0.0713548), 1.59577))))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view


@dataclass(frozen=True)
class GeluTanh(Pass[None]):
    """Gelu(tanh) -> Sigmoid, Mul, Add."""

    name: ClassVar[str] = "gelu-tanh"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gelu",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        return Match((node,), None) if view.attr(node, "approximate", "none") == "tanh" else None

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x, slope = node.inputs[0], 2.0 * math.sqrt(2.0 / math.pi)
        inner = emit.odd_cubic(edit, x, slope, slope * 0.044715)
        edit.replace_uses(node.outputs[0], edit.op("Mul", [x, edit.op("Sigmoid", [inner])]))
