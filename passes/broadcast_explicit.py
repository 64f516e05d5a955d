"""Element-wise operators of two activations get operands of equal shape.

What it does: an operand of shape [N, C, 1, 1], [N, C, H, 1], [N, C, 1, W] is repeated by a nearest Resize (a cascade
    above a scale of 32; a size with a prime factor above 32 is overshot and cut by a Slice), one of [N, 1, H, W] by a
    1x1 Conv of ones, one of [N, 1, 1, 1] by both.
Law: broadcasting repeats an operand along its axes of size 1; repeating it first changes nothing.
Numerics: EXACT - a Resize copies, and 1 * x = x.
Scales: the repeated operand inherits the operand's scale.
Fires: on Add, Sub, Mul, Div, Pow, Max, Min and Sum of rank 4 with static shapes that the target does not take as they
    are.
Refuses: an operand that is repeated along the batch.
Source: ONNX broadcasting; EW-BCAST, RSZ-NEAR, CONV-OUTMAPS.
Example: Mul([1, 64, 56, 56], [1, 64, 1, 1]) -> Resize x28, Resize x2, Mul of equal shapes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, view

Plan = tuple[tuple[int, ...], tuple[int, ...]]
"""The inputs to be repeated, and the output's shape."""


@dataclass(frozen=True)
class BroadcastExplicit(Pass[Plan]):
    """Operands of unequal shape -> nearest Resize, 1x1 Conv of ones."""

    name: ClassVar[str] = "broadcast-explicit"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Mul", "Add", "Sub", "Div", "Pow", "Max", "Min", "Sum")

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        out = view.shape(node.outputs[0])
        if out is None or len(out) != 4:
            return None
        small = [i for i, t in enumerate(node.inputs) if not view.is_constant(t) and view.shape(t) != out]
        shapes = [view.shape(node.inputs[i]) for i in small]
        if not small or any(s is None or len(s) != 4 for s in shapes):
            return None
        if not all(view.is_float(node.inputs[i]) for i in small):
            return None
        if any(s[0] != out[0] for s in shapes if s is not None):
            reason = f"an operand of shape {list(shapes[0] or ())} is repeated along the batch to {list(out)}"
            return Refusal(reason, (node,))
        return Match(
            (node,), (tuple(small), out), " and ".join(f"{list(s or ())}" for s in shapes) + f" -> {list(out)}"
        )

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, (small, out) = match.nodes[0], match.facts
        made: dict[int, Tensor] = {}
        for index in small:
            operand = node.inputs[index]
            if id(operand) not in made:
                made[id(operand)] = _repeated(edit, operand, out)
            edit.set_input(node, index, made[id(operand)])


def _repeated(edit: Editor, x: Tensor, out: tuple[int, ...]) -> Tensor:
    form = view.shape(x) or out
    if form[1] != out[1]:
        x = forms.repeat_channel(edit, x, out[1])
    if form[2:] != out[2:]:
        x = forms.fill_plane(edit, x, out[2], out[3])
    return x
