"""HardSigmoid becomes Mul, Add and a Clip from 0 that the DLA has.

What it does: HardSigmoid(x; alpha, beta) = max(0, min(1, alpha x + beta)) -> Clip(Add(Mul(x, alpha), beta), 0, 1).
Law: the definition of the operator, term by term; constants take x's type.
Numerics: ROUNDING - onnxruntime may contract alpha x + beta.
Scales: the output's scale goes to the Clip; Mul and Add inherit none and run in FP16 until they are calibrated.
Fires: on a HardSigmoid that the target refuses, any rank, float types.
Refuses: nothing; integer tensors cannot occur under ONNX's schema.
Source: ONNX operator HardSigmoid (opset 6 and 22); ACT-OTHER, ACT-CLIP-LO, ACT-CLIP-HI.
Example: HardSigmoid(x) -> Clip(Add(Mul(x, 0.2), 0.5), 0, 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, emit, view


@dataclass(frozen=True)
class Slope:
    """The line that HardSigmoid clips."""

    alpha: float
    beta: float


@dataclass(frozen=True)
class HardSigmoid(Pass[Slope]):
    """HardSigmoid -> Mul, Add, Clip(0, 1)."""

    name: ClassVar[str] = "hard-sigmoid"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("HardSigmoid",)

    def match(self, node: Node, context: Context) -> Match[Slope] | Refusal | None:
        alpha, beta = view.attr(node, "alpha", 0.2), view.attr(node, "beta", 0.5)
        return Match((node,), Slope(float(alpha), float(beta)))

    def apply(self, match: Match[Slope], edit: Editor) -> None:
        node, slope = match.nodes[0], match.facts
        x = node.inputs[0]
        line = edit.op("Mul", [x, emit.scalar(edit, slope.alpha, x, "alpha")])
        if slope.beta:
            line = edit.op("Add", [line, emit.scalar(edit, slope.beta, x, "beta")])
        edit.replace_uses(node.outputs[0], emit.clip(edit, line, 0.0, 1.0))
