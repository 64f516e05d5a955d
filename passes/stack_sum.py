"""Sums over stacked branches become sums of the branches.

What it does: ReduceSum over the second axis of a [N, n, C, H, W] tensor that is put together from 4-D ones (Unsqueeze
    and Concat, Reshapes of [N, n C, H, W], Add, Sub and Mul of such, Softmax over the stack in any shape with the same
    elements) -> the same arithmetic on the 4-D tensors, added up. Of two branches, Softmax is Sigmoid of their
    difference.
Law: what is done to a stack is done to each of its slices; e^a/(e^a + e^b) = Sigmoid(a - b).
Numerics: ROUNDING - Softmax of two is computed otherwise.
Scales: every slice takes the scale of its stack; a Sigmoid has the fixed scale 1/127 (Q-SIGMOID).
Fires: on selective kernels and split attention, opset 13 or newer where a Softmax is among the nodes.
Refuses: a Softmax over a stack of more than two.
Source: ONNX ReduceSum, Softmax; GEN-RANK, CAT-AXIS, RED-MAX, SMAX-AXIS.
Example: ReduceSum(Concat(Unsqueeze(a), Unsqueeze(b))) -> Add(a, b)
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, reduction, view

Stack = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Part:
    """Channels ``start`` to ``stop`` of a tensor that carries [N, C, H, W], or all of it."""

    tensor: Tensor
    dims: tuple[int, int, int, int]
    start: int
    stop: int


@dataclass(frozen=True)
class Pair:
    """Add, Sub or Mul of two slices; "Gate" is the Sigmoid of their difference."""

    op: str
    a: Slice
    b: Slice


Slice = Part | Pair

_MOST = 256
"""Nodes that are followed upwards, counted again wherever two ways lead to one: sums of sums would have no end."""


class _TooMany(Exception):  # noqa: N818 - a signal to refuse, not an error
    """A Softmax over more than two slices."""


@dataclass(frozen=True)
class StackSum(Pass[tuple[Slice, ...]]):
    """ReduceSum over a stack -> Add of its slices."""

    name: ClassVar[str] = "stack-sum"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ReduceSum",)

    def match(self, node: Node, context: Context) -> Match[tuple[Slice, ...]] | Refusal | None:
        found = reduction.reduction(node)
        if found is None or len(found.dims) != 5 or found.named != (1,) or found.keepdims:
            return None
        nodes: list[Node] = [node]
        try:
            slices = _unstack(found.x, _stack(found.x), context.opset, nodes)
        except _TooMany as size:
            return Refusal(f"its Softmax goes over {size} slices; two make a Sigmoid, more make no layer", tuple(nodes))
        if slices is None:
            return None
        return Match(tuple({id(n): n for n in nodes}.values()), slices, f"{len(slices)} slices")

    def apply(self, match: Match[tuple[Slice, ...]], edit: Editor) -> None:
        cut: dict[tuple[int, int], Tensor] = {}
        first, *others = [_emit(edit, s, cut) for s in match.facts]
        for other in others:
            first = edit.op("Add", [first, other])
        edit.replace_uses(match.nodes[0].outputs[0], first)


def _stack(tensor: Tensor) -> Stack | None:
    """[N, n, C] to [N, n, C, H, W] as five dimensions."""
    dims = view.shape(tensor)
    if dims is None or not 3 <= len(dims) <= 5 or 0 in dims:
        return None
    n, count, channels, height, width = (*dims, 1, 1)[:5]
    return n, count, channels, height, width


def _unstack(tensor: Tensor, stack: Stack | None, opset: int, nodes: list[Node]) -> tuple[Slice, ...] | None:
    """The slices of a stack whose elements ``tensor`` holds in their order; None where its makers are not known."""
    node = view.producer(tensor)
    if node is None or stack is None or len(nodes) > _MOST:
        return None
    nodes.append(node)
    if view.is_op(node, "Unsqueeze", "Squeeze", "Flatten", "Reshape"):
        return _reshaped(node, stack, opset, nodes)
    if view.is_op(node, "Softmax") and opset >= 13 and _goes_over(node, stack):
        if stack[1] != 2:
            raise _TooMany(stack[1])
        inner = _unstack(node.inputs[0], stack, opset, nodes)
        return None if inner is None else (Pair("Gate", *inner), Pair("Gate", *inner[::-1]))
    if _stack(tensor) != stack:
        return None
    if view.is_op(node, "Concat"):
        parts = [_unstack(t, _stack(t), opset, nodes) for t in node.inputs]
        if _axis(node) != 1 or any(p is None for p in parts):
            return None
        return tuple(s for part in parts if part is not None for s in part)
    if view.is_op(node, "Add", "Sub", "Mul") and all(view.rank(t) == 5 for t in node.inputs):
        a, b = (_unstack(t, _stack(t), opset, nodes) for t in node.inputs)
        if a is None or b is None:
            return None
        count = max(len(a), len(b))
        return tuple(Pair(node.op, a[i % len(a)], b[i % len(b)]) for i in range(count))
    return None


def _goes_over(node: Node, stack: Stack) -> bool:
    """Whether a Softmax goes over the slices, in whatever shape its tensor has."""
    dims, where = view.shape(node.outputs[0]) or (), _axis(node)
    return dims[where : where + 1] == stack[1:2] and math.prod(dims[:where]) == stack[0]


def _axis(node: Node) -> int:
    return view.axis(int(view.attr(node, "axis", -1)), view.rank(node.outputs[0]) or 0)


def _reshaped(node: Node, stack: Stack, opset: int, nodes: list[Node]) -> tuple[Slice, ...] | None:
    """A stack in another shape, or what a 4-D tensor becomes: its channels in ``count`` equal parts."""
    n, count, channels, height, width = stack
    inner, whole = node.inputs[0], (n, count * channels, height, width)
    if view.shape(inner) != whole:
        return _unstack(inner, stack, opset, nodes)
    # A Softmax over the slices may hide behind a Reshape to their channels.
    tried: list[Node] = []
    with contextlib.suppress(_TooMany):
        further = _unstack(inner, stack, opset, tried)
        if further is not None:
            nodes.extend(tried)
            return further
    return tuple(Part(inner, whole, i * channels, (i + 1) * channels) for i in range(count))


def _emit(edit: Editor, slice_: Slice, cut: dict[tuple[int, int], Tensor]) -> Tensor:
    """The nodes of a slice; ``cut`` holds what has been cut already, by tensor and first channel."""
    if isinstance(slice_, Part):
        if (slice_.start, slice_.stop) == (0, slice_.dims[1]):
            return slice_.tensor
        key = (id(slice_.tensor), slice_.start)
        if key not in cut:
            cut[key] = emit.slice_(edit, slice_.tensor, [slice_.start], [slice_.stop], [1])
        return cut[key]
    a, b = _emit(edit, slice_.a, cut), _emit(edit, slice_.b, cut)
    if slice_.op == "Gate":
        return edit.op("Sigmoid", [edit.op("Sub", [a, b])])
    return edit.op(slice_.op, [a, b])
