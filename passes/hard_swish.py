"""HardSwish becomes a line, a Clip from 0 that the DLA has, and a product.

What it does: HardSwish(x) = x max(0, min(1, x/6 + 1/2)) -> Mul(x, Clip(Add(Mul(x, 1/6), 0.5), 0, 1)).
Law: the definition of the operator, term by term; constants take x's type.
Numerics: ROUNDING - onnxruntime may contract x/6 + 1/2.
Scales: the Clip's output has the fixed range [0, 1]; the product takes the scale of the old output.
Fires: on a HardSwish that the target refuses, any rank, float types.
Refuses: nothing.
Source: ONNX operator HardSwish (opset 14); ACT-OTHER, ACT-CLIP-LO, ACT-CLIP-HI.
Example: HardSwish(x) -> Mul(x, Clip(Add(Mul(x, 0.166667), 0.5), 0, 1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit


@dataclass(frozen=True)
class HardSwish(Pass[None]):
    """HardSwish -> Mul, Add, Clip(0, 1), Mul."""

    name: ClassVar[str] = "hard-swish"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("HardSwish",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        sixth = edit.op("Mul", [x, emit.scalar(edit, 1.0 / 6.0, x, "sixth")])
        line = edit.op("Add", [sixth, emit.scalar(edit, 0.5, x, "half")])
        edit.replace_uses(node.outputs[0], edit.op("Mul", [x, emit.clip(edit, line, 0.0, 1.0)]))
