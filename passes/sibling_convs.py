"""Convolutions that read one tensor and meet again in a Concat become one.

What it does: neighbouring inputs of a Concat over channels that are Convs of the same tensor with the same window, or
    the same activation of such, are computed by one Conv with all their output channels, and one activation.
Law: an output channel of a convolution depends on its own weights alone.
Numerics: ROUNDING - onnxruntime may sum in another order where a convolution has more channels.
Scales: the joined tensor takes the Concat's scale, which a Concat asks of its inputs as well (Q-EQ).
Fires: on Convs of one group with constant weights, each read once, where the target takes them and would take the
    joined one. Siblings that part for good are left alone: they would need a Slice each.
Refuses: a joined Conv that the target would not take (too many channels, too large a weight buffer).
Source: ONNX Conv, Concat; horizontal fusion as of TensorRT's own graph optimiser.
Example: Concat(Relu(Conv(x, W1)), Relu(Conv(x, W2))) -> Relu(Conv(x, [W1; W2]))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Constant,
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Phase,
    Refusal,
    Tensor,
    convolve,
    view,
)

_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "Elu", "HardSigmoid", "HardSwish", "Identity")


@dataclass(frozen=True)
class Branch:
    """A Conv and the activation behind it, if there is one."""

    conv: convolve.Convolution
    activation: Node | None

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.conv.node,) if self.activation is None else (self.conv.node, self.activation)


@dataclass(frozen=True)
class Joined:
    """Inputs ``first`` to ``last`` of the Concat are the branches."""

    first: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class SiblingConvs(Pass[Joined]):
    """Concat of Convs on one tensor -> one Conv."""

    name: ClassVar[str] = "sibling-convs"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    phase: ClassVar[Phase] = Phase.CLEAN
    after: ClassVar[tuple[str, ...]] = ("freeze-shapes",)
    anchors: ClassVar[tuple[str, ...]] = ("Concat",)

    def match(self, node: Node, context: Context) -> Match[Joined] | Refusal | None:
        out = view.shape(node.outputs[0])
        if out is None or len(out) != 4 or view.axis(int(view.attr(node, "axis", 1)), 4) != 1:
            return None
        branches = [_branch(t, node, context) for t in node.inputs]
        for first, branch in enumerate(branches):
            if branch is None:
                continue
            run = [branch]
            for other in branches[first + 1 :]:
                if other is None or not _alike(branch, other):
                    break
                run.append(other)
            if len(run) < 2:
                continue
            nodes = (node, *(n for b in run for n in b.nodes))
            maps = sum(b.conv.form[0] for b in run)
            weights = np.broadcast_to(np.zeros((), branch.conv.weights.dtype), (maps, *branch.conv.form[1:]))
            inputs = [branch.conv.x, Constant("joined", weights)]
            if not context.allows("Conv", inputs, dict(branch.conv.node.attrs)):
                reason = f"{context.target.name} does not take a Conv of {maps} output channels here"
                return Refusal(reason, nodes) if all(context.is_native(b.conv.node) for b in run) else None
            return Match(nodes, Joined(first, tuple(run)), f"{len(run)} convolutions, {maps} output channels")
        return None

    def apply(self, match: Match[Joined], edit: Editor) -> None:
        node, (lead, *_) = match.nodes[0], match.facts.branches
        convs = [b.conv for b in match.facts.branches]
        weights = np.concatenate([c.values() for c in convs])
        bias = None
        if any(c.bias is not None for c in convs):
            parts = [np.zeros(c.form[0], weights.dtype) if c.bias is None else _values(c.bias) for c in convs]
            bias = edit.constant(np.concatenate(parts), "bias")
        inputs = [lead.conv.x, edit.constant(weights, str(lead.conv.weights.name)), *([] if bias is None else [bias])]
        made: Tensor = edit.op("Conv", inputs, dict(lead.conv.node.attrs), hint=view.label(lead.conv.node))
        if lead.activation is not None:
            made = edit.op(lead.activation.op, [made, *lead.activation.inputs[1:]], dict(lead.activation.attrs))
        first, count = match.facts.first, len(convs)
        rest = [*node.inputs[:first], made, *node.inputs[first + count :]]
        edit.replace_uses(node.outputs[0], made if len(rest) == 1 else edit.op("Concat", rest, {"axis": 1}))


def _values(tensor: Tensor) -> view.Array:
    return np.asarray(view.constant_value(tensor))


def _branch(tensor: Tensor, concat: Node, context: Context) -> Branch | None:
    """The Conv that makes the tensor, with the activation between, where nobody else reads either."""
    maker, reader, activation = view.producer(tensor), concat, None
    if maker is not None and view.is_op(maker, *_ACTIVATIONS) and _alone(tensor, reader, context):
        activation, reader = maker, maker
        tensor = maker.inputs[0]
        maker = view.producer(tensor)
        if any(t.name and not view.is_constant(t) for t in activation.inputs[1:]):
            return None
    if maker is None or not view.is_op(maker, "Conv") or not _alone(tensor, reader, context):
        return None
    conv = convolve.read(maker)
    if conv is None or conv.window.group != 1 or not context.is_native(maker):
        return None
    return Branch(conv, activation)


def _alone(tensor: Tensor, reader: Node, context: Context) -> bool:
    return not context.model.is_pinned(tensor) and len(tensor.outputs) == 1 and tensor.outputs[0] is reader


def _alike(one: Branch, other: Branch) -> bool:
    """Whether both read the same tensor through the same window and go through the same activation."""
    a, b = one.conv, other.conv
    if a.x is not b.x or a.window != b.window or a.form[1:] != b.form[1:] or a.weights.dtype != b.weights.dtype:
        return False
    first, second = one.activation, other.activation
    if first is None or second is None:
        return first is second
    if first.op != second.op or first.attrs != second.attrs or len(first.inputs) != len(second.inputs):
        return False
    bounds = zip(first.inputs[1:], second.inputs[1:], strict=True)
    return all(s is t or (s.name and t.name and np.array_equal(_values(s), _values(t))) for s, t in bounds)
