"""Weights that are a constant times something computed are constant again: the factor moves to the data.

What it does: Conv(x, W * s) with constant W and computed s -> Conv(x, W) * s where s is one number or one an output
    channel, Conv(x * s, W) where it is one an input channel.
Law: the convolution is linear in its weights.
Numerics: ROUNDING - the factor comes after the sum, or before the product.
Scales: the new output inherits the scale of the old one; a scaled input takes that of the input.
Fires: on two-dimensional Convs of one group, s of shape [], [1], [M, 1, 1, 1], [1, C, 1, 1] or [1, 1, 1, 1], a bias of
    any kind, where s is float and computed from the network's inputs.
Refuses: weights that are computed in any other way, such as the correlation of a tracker: the DLA holds weights that
    are known when it is built. Weights that are constant behind foldable operators are fold-constants' business, within
    its budget (option max_bytes).
Source: ONNX Conv; GEN-WEIGHTS, CONV-CONST; modulated convolutions.
Example: Conv(x, Mul(W, s[1, C, 1, 1])) -> Conv(Mul(x, s), W)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view


@dataclass(frozen=True)
class Factor:
    """The constant weights, the computed factor, and whether it scales the input (else the output)."""

    weights: Tensor
    factor: Tensor
    before: bool


@dataclass(frozen=True)
class ConvDynamicWeight(Pass[Factor]):
    """Conv with scaled constant weights -> Conv with constant weights."""

    name: ClassVar[str] = "conv-dynamic-weight"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv", "ConvTranspose")

    def match(self, node: Node, context: Context) -> Match[Factor] | Refusal | None:
        weight = view.input_at(node, 1)
        maker = view.producer(weight)
        if weight is None or view.is_constant(weight):
            return None
        if maker is None:
            return Refusal(f"its weights are the graph input {weight.name!r}", (node,))
        held = _held(maker)
        if held is None:
            reason = f"its weights are computed at run time by {view.label(maker)} ({maker.op})"
            if all(view.is_constant(t) for t in maker.inputs if t.name):
                reason += ", which fold-constants leaves alone (its budget is the option max_bytes)"
            return Refusal(reason, (node,))
        constant, factor = held
        form, size = view.shape(constant), view.shape(factor)
        if node.op != "Conv" or int(view.attr(node, "group", 1)) != 1 or view.rank(node.outputs[0]) != 4:
            return Refusal("its scaled weights belong to groups, a ConvTranspose or another rank than 4", (node,))
        if form is None or size is None or len(form) != 4 or view.shape(weight) != form:
            return Refusal("the shapes of its weights are not static, or the factor broadcasts them", (node,))
        full = (1,) * (4 - len(size)) + size
        if full in ((1, 1, 1, 1), (form[0], 1, 1, 1)):
            return Match((node,), Factor(constant, factor, before=False), f"{factor.name} scales the output")
        if full == (1, form[1], 1, 1):
            return Match((node,), Factor(constant, factor, before=True), f"{factor.name} scales the input")
        return Refusal(
            f"its weights are scaled by a factor of shape {list(size)}, neither per input nor output", (node,)
        )

    def apply(self, match: Match[Factor], edit: Editor) -> None:
        node, found = match.nodes[0], match.facts
        bias = view.input_at(node, 2)
        x = edit.op("Mul", [node.inputs[0], found.factor]) if found.before else node.inputs[0]
        late = bias is not None and not (found.before and view.is_constant(bias))
        inputs = [x, found.weights, *([bias] if bias is not None and not late else [])]
        made = edit.op("Conv", inputs, dict(node.attrs), hint=view.label(node))
        if not found.before:
            size = view.shape(found.factor) or ()
            # [M, 1, 1, 1] scales maps: on the data it is [1, M, 1, 1].
            by = emit.reshape(edit, found.factor, (1, size[0], 1, 1)) if len(size) == 4 else found.factor
            made = edit.op("Mul", [made, by])
        if late and bias is not None:
            maps = int(made.shape[1])
            values = view.constant_value(bias)
            plus = None if values is None else edit.constant(values.reshape(1, maps, 1, 1), str(bias.name))
            made = edit.op("Add", [made, emit.reshape(edit, bias, (1, maps, 1, 1)) if plus is None else plus])
        edit.replace_uses(node.outputs[0], made)


def _held(maker: Node) -> tuple[Tensor, Tensor] | None:
    """Constant and computed operand of the Mul that makes the weights."""
    if not view.is_op(maker, "Mul"):
        return None
    one, two = maker.inputs
    if view.is_constant(one) == view.is_constant(two):
        return None
    return (one, two) if view.is_constant(one) else (two, one)
