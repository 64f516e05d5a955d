"""Neg becomes a product with -1.

What it does: Neg(x) -> Mul(x, -1).
Law: the definition of the operator.
Numerics: EXACT - a sign is changed.
Scales: the result takes the scale of the input (scales are symmetric).
Fires: on float tensors of any rank.
Refuses: And, Or, Xor and Not, whose tensors are BOOL, which no layer of the DLA reads or writes.
Source: ONNX Neg; UNARY-NO, GEN-DTYPE; re-expression R5.
Example: Neg(x) -> Mul(x, -1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view


@dataclass(frozen=True)
class Logic(Pass[None]):
    """Neg -> Mul(-1)."""

    name: ClassVar[str] = "logic"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Neg", "And", "Or", "Xor", "Not")

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if node.op != "Neg":
            return Refusal("its tensors are BOOL, which no layer of the DLA reads or writes", (node,))
        return Match((node,), None) if view.is_float(node.inputs[0]) else None

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        edit.replace_uses(node.outputs[0], edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")]))
