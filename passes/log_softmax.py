"""LogSoftmax at the end of the network is divided: the Softmax runs on the DLA, a Log is left behind it.

What it does: LogSoftmax(x) -> Log(Max(Softmax(x), 2^-24)).
Law: the logarithm of a Softmax; 2^-24 is the smallest number that FP16, in which the DLA computes, tells from zero.
Numerics: LOSSY - where a probability is smaller than 2^-24, so that its logarithm would be below -16.6.
Scales: the Softmax is a precision border and has none; the result keeps its own.
Fires: only where lossy rewrites are allowed; where the target takes the Softmax for certain and what makes x, and none
    of what reads the result: then the Log stands behind the last node of the DLA, with Softmax one node more on it.
Refuses: a LogSoftmax in the middle, whose Log would be an island of its own; a Softmax that the target does not take.
Source: ONNX LogSoftmax; SMAX-ORIN, UNARY-NO; re-expression R32.
Example: LogSoftmax(x) at an output -> Log(Max(Softmax(x), 6e-8))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, emit, view


@dataclass(frozen=True)
class LogSoftmax(Pass[None]):
    """LogSoftmax at the end -> Softmax, Max, Log."""

    name: ClassVar[str] = "log-softmax"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "none above -16.6; log-probabilities below come out as -16.635532 (the logarithm of 2^-24)"
    phase: ClassVar[Phase] = Phase.FINISH
    anchors: ClassVar[tuple[str, ...]] = ("LogSoftmax",)
    floor: float = 2.0**-24

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        x = node.inputs[0]
        if context.is_native(node) or context.opset < 13 or not view.is_float(x):
            return None
        maker = view.producer(x)
        if maker is not None and not context.is_native(maker):
            return None
        within = [r for r in view.consumers(node.outputs[0]) if context.is_native(r)]
        if within:
            reason = f"{view.label(within[0])} ({within[0].op}) behind it runs on the DLA, and a Log would not"
            return Refusal(reason, (node,))
        if not context.allows("Softmax", [x], dict(node.attrs)):
            return Refusal(f"{context.target.name} does not take its Softmax over axis {_axis(node)}", (node,))
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        p = edit.op("Softmax", [node.inputs[0]], {"axis": _axis(node)})
        held = edit.op("Max", [p, emit.scalar(edit, self.floor, p, "floor")])
        edit.replace_uses(node.outputs[0], edit.op("Log", [held]))


def _axis(node: Node) -> int:
    return int(view.attr(node, "axis", -1))
