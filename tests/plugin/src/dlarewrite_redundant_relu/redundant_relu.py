"""A Relu after something that is never negative does nothing, and goes.

What it does: Relu(f(x)) -> f(x) where f(x) >= 0, also through pools and reshapes that only move or pick values.
Law: max(0, y) = y for y >= 0; MaxPool, Reshape, Transpose and the like return values that they were given.
Numerics: EXACT - the operation that goes returns its input.
Fires: on a Relu after Relu, Sigmoid, HardSigmoid, Softmax, Abs, Exp, Sqrt or Clip from 0, any rank, on every target.
Refuses: a Clip whose lower bound is not a constant of 0 or more; where both tensors are graph outputs.
Source: the ONNX definitions of these operators.
Example: Relu(MaxPool(Sigmoid(x))) -> MaxPool(Sigmoid(x))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, view

NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp", "Sqrt")
MOVES_VALUES = ("MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity")


@dataclass(frozen=True)
class RedundantRelu(Pass[Tensor]):
    """Relu(f(x)) -> f(x) where f(x) is never negative."""

    name: ClassVar[str] = "redundant-relu"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("Relu",)

    def match(self, node: Node, context: Context) -> Match[Tensor] | Refusal | None:
        x = node.inputs[0]
        maker = _origin(x)
        if maker is None:
            return None
        if view.is_op(maker, "Clip"):
            if not _clips_at_zero(maker):
                return Refusal("the Clip before it has no constant lower bound of 0 or more", (node,))
        elif not view.is_op(maker, *NEVER_NEGATIVE):
            return None
        if context.model.is_output(x) and context.model.is_output(node.outputs[0]):
            return Refusal(f"{x.name} and {node.outputs[0].name} are both graph outputs", (node,))
        return Match((node,), x, f"after {maker.op}")

    def apply(self, match: Match[Tensor], edit: Editor) -> None:
        edit.replace_uses(match.nodes[0].outputs[0], match.facts)


def _origin(tensor: Tensor) -> Node | None:
    """The node that computed the values of ``tensor``, looking through those that only move them."""
    maker = view.producer(tensor)
    while maker is not None and view.is_op(maker, *MOVES_VALUES):
        maker = view.producer(maker.inputs[0])
    return maker


def _clips_at_zero(clip: Node) -> bool:
    lower = view.attr(clip, "min")
    if lower is None:
        value = view.constant_value(view.input_at(clip, 1))
        lower = None if value is None else value.item()
    return lower is not None and float(lower) >= 0.0
