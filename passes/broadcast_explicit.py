"""Element-wise operators of two activations get operands of equal shape.

What it does: an operand of shape [N, C, 1, 1], [N, C, H, 1], [N, C, 1, W] is repeated by a nearest Resize (a cascade
    above a scale of 32; a size with a prime factor above 32 is overshot and cut, by a Slice or one-hot Convs, whichever
    the target takes and costs less), one of [N, 1, H, W] by a 1x1 Conv of ones, one of [N, 1, 1, 1] by both, the Conv
    first. A broadcast that the target takes is left, as it costs nothing.
Law: broadcasting repeats an operand along its axes of size 1; repeating it first changes nothing.
Numerics: EXACT - a Resize copies, and 1 * x = x.
Scales: the repeated operand inherits the operand's scale.
Fires: on Add, Sub, Mul, Div, Pow, Max, Min and Sum of rank 4 with static shapes that the target does not take as they
    are.
Refuses: an operand that is repeated along the batch.
Source: ONNX broadcasting; EW-BCAST, RSZ-NEAR, CONV-OUTMAPS.
Example: Mul([1, 64, 56, 56], [1, 64, 1, 1]) -> Resize x2, Resize x28, Mul of equal shapes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, choice, forms, view

Plan = tuple[tuple[int, ...], tuple[int, ...], bool]
"""The inputs to be repeated, the output's shape, and whether Slices cut what is too much."""


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
        if context.is_native(node):
            return None
        found = []
        for slices, name in ((True, "made explicit, cut by Slice"), (False, "cut by one-hot Convs")):
            cost = choice.measure(context, partial(_operands, node=node, plan=(tuple(small), out, slices)))
            found.extend([choice.Candidate(slices, name, cost)] if cost is not None else [])
            if all(_whole(s or (), out) for s in shapes):
                break
        if not found:
            return Refusal(f"the operands of shape {[list(s or ()) for s in shapes]} cannot be repeated", (node,))
        chosen = choice.choose(context, found)
        text = " and ".join(f"{list(s or ())}" for s in shapes) + f" -> {list(out)}"
        said = chosen.sentence or f"made explicit ({chosen.cost.text(context.target.precision)})"
        return Match((node,), (tuple(small), out, chosen.form), f"{text}: {said}{_left(node, context)}")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node = match.nodes[0]
        for index, tensor in _operands(edit, node, match.facts).items():
            edit.set_input(node, index, tensor)


def _left(node: Node, context: Context) -> str:
    """What speaks against leaving the broadcast to the target."""
    against = [f.rule for f in context.verdict(node).findings if f.rule.startswith("EW-")]
    return f", not left ({against[0]})" if against else ""


def _whole(form: tuple[int, ...], out: tuple[int, ...]) -> bool:
    """Whether no size is overshot."""
    return all(a == b or forms.scale_factors(b) is not None for a, b in zip(form[2:], out[2:], strict=True))


def _operands(edit: Editor, node: Node, plan: Plan) -> dict[int, Tensor]:
    """The repeated operand of each input that needs one."""
    small, out, slices = plan
    made: dict[int, Tensor] = {}
    for operand in (node.inputs[i] for i in small):
        if id(operand) not in made:
            made[id(operand)] = _repeated(edit, operand, out, slices)
    return {i: made[id(node.inputs[i])] for i in small}


def _repeated(edit: Editor, x: Tensor, out: tuple[int, ...], slices: bool) -> Tensor:
    form = view.shape(x) or out
    if form[1] != out[1]:
        x = forms.repeat_channel(edit, x, out[1])
    if form[2:] != out[2:]:
        x = forms.fill_plane(edit, x, out[2], out[3], slices=slices)
    return x
