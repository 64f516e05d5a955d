"""Piecewise linear activations become sums of Relu.

What it does: LeakyRelu, PRelu with constant slopes, Abs and soft Shrink -> Relu of x and of -x, scaled and added.
Law: x = Relu(x) - Relu(-x), and each half has its own slope: f(x) = Relu(x) - slope Relu(-x).
Numerics: ROUNDING - one half of the sum is always zero; Shrink adds and takes away lambd.
Scales: both halves take the scale of the input, the sum that of the old output.
Fires: on float tensors of any rank where the target refuses the node (negative slopes; PRelu and Abs before 8.4); not
    on a PRelu whose slopes only lack dimensions, which const-operand cures.
Refuses: slopes computed at run time; ThresholdedRelu with alpha above 0 and Shrink with bias other than lambd, which
    jump where a sum of Relu cannot.
Source: ONNX LeakyRelu, PRelu, Abs, Shrink, ThresholdedRelu; ACT-NEGSLOPE, PRELU-CONST, UNARY-ABS, ACT-OTHER.
Example: LeakyRelu(x; alpha -0.1) -> Add(Relu(x), Mul(Relu(Mul(x, -1)), 0.1))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view


@dataclass(frozen=True)
class Halves:
    """f(x) = Relu(x - dead) + left Relu(-x - dead)."""

    left: view.Array | float
    dead: float = 0.0


@dataclass(frozen=True)
class LeakyForms(Pass[Halves]):
    """LeakyRelu, PRelu, Abs, Shrink -> Relu(x) - slope Relu(-x)."""

    name: ClassVar[str] = "leaky-forms"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("LeakyRelu", "PRelu", "Abs", "Shrink", "ThresholdedRelu")

    def match(self, node: Node, context: Context) -> Match[Halves] | Refusal | None:
        if not view.is_float(view.input_at(node, 0)):
            return None
        if node.op == "Abs":
            return Match((node,), Halves(1.0))
        if node.op == "LeakyRelu":
            return Match((node,), Halves(-float(view.attr(node, "alpha", 0.01))))
        if node.op == "PRelu":
            return _slopes(node, context)
        if node.op == "ThresholdedRelu":
            alpha = float(view.attr(node, "alpha", 1.0))
            jump = Refusal(f"it jumps by {alpha:g} at {alpha:g}, which no sum of Relu does", (node,))
            return Match((node,), Halves(0.0)) if alpha == 0.0 else jump
        dead, bias = float(view.attr(node, "lambd", 0.5)), float(view.attr(node, "bias", 0.0))
        if dead != bias or dead < 0.0:
            return Refusal(f"it jumps at {dead:g}, where bias is {bias:g}, which no sum of Relu does", (node,))
        return Match((node,), Halves(-1.0, dead))

    def apply(self, match: Match[Halves], edit: Editor) -> None:
        node, halves = match.nodes[0], match.facts
        x = node.inputs[0]
        right = edit.op("Relu", [_less(edit, x, halves.dead)])
        if isinstance(halves.left, float) and halves.left == 0.0:
            edit.replace_uses(node.outputs[0], right)
            return
        minus = edit.op("Mul", [x, emit.scalar(edit, -1.0, x, "minus")])
        left: Tensor = edit.op("Relu", [_less(edit, minus, halves.dead)])
        if not isinstance(halves.left, float) or halves.left != 1.0:
            left = edit.op("Mul", [left, edit.constant(halves.left, "slope", view.dtype(x))])
        edit.replace_uses(node.outputs[0], edit.op("Add", [right, left]))


def _slopes(node: Node, context: Context) -> Match[Halves] | Refusal | None:
    """The slopes in the input's rank, which is the form that a Scale takes; None where the PRelu itself has one."""
    x, slopes = node.inputs[0], view.constant_value(node.inputs[1])
    rank = view.rank(x)
    if slopes is None:
        return Refusal("its slopes are computed at run time", (node,))
    if rank is None or slopes.ndim > rank:
        return None
    full = slopes.reshape((1,) * (rank - slopes.ndim) + slopes.shape)
    # Slopes of lower rank alone do not cost the node: const-operand gives them the input's.
    if slopes.ndim < rank and context.allows("PRelu", [x, Constant("slopes", full)]):
        return None
    return Match((node,), Halves(-full))


def _less(edit: Editor, x: Tensor, dead: float) -> Tensor:
    return x if dead == 0.0 else edit.op("Add", [x, emit.scalar(edit, -dead, x, "dead")])
