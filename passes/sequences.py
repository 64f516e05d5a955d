"""Sequences whose elements are known one by one become Slices, Concats and constants.

What it does: SequenceAt of a known place -> the tensor that was put there, or a Slice of the one that was split;
    ConcatFromSequence -> Concat; SequenceLength -> its number. The sequence itself goes with its last reader.
Law: the operators' definitions: a sequence is a list of tensors that the graph builds in a known order.
Numerics: EXACT - data movement only.
Scales: slices take the scale of the tensor that they are taken from.
Fires: where SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceErase and SplitToSequence of constant places and
    static sizes have made the sequence, whatever the target.
Refuses: a place that is not constant or out of range, and sequences that come from elsewhere.
Source: ONNX SequenceAt, SequenceConstruct, SequenceErase, SequenceInsert, SequenceLength, ConcatFromSequence and
    SplitToSequence (opset 11, 24); TensorRT has none of them.
Example: SequenceAt(SplitToSequence(x[1,16,8,8], [8,8]; axis 1), 1) -> Slice(x, 8, 16, axis 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, emit, view

DEEPEST = 64
"""Operators between a sequence's beginning and its reader."""


@dataclass(frozen=True)
class Item:
    """An element: the tensor, or the part [start, stop) of its ``axis``, without that axis where ``squeezed``."""

    tensor: Tensor
    axis: int = 0
    start: int = 0
    stop: int = -1
    squeezed: bool = False


@dataclass(frozen=True)
class Known:
    """The elements that the node reads; ``join`` has the axis, and whether it is a new one."""

    items: tuple[Item, ...]
    join: tuple[int, bool] | None = None


@dataclass(frozen=True)
class Sequences(Pass[Known]):
    """SequenceAt, ConcatFromSequence, SequenceLength of known elements -> Slice, Concat, a constant."""

    name: ClassVar[str] = "sequences"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("SequenceAt", "ConcatFromSequence", "SequenceLength")

    def match(self, node: Node, context: Context) -> Match[Known] | Refusal | None:
        items = _elements(node.inputs[0], DEEPEST)
        if isinstance(items, str):
            return Refusal(items, (node,))
        if node.op == "SequenceLength":
            return Match((node,), Known(tuple(items)), f"{len(items)} elements")
        if node.op == "SequenceAt":
            place = _place(view.input_at(node, 1), len(items), len(items))
            if isinstance(place, str):
                return Refusal(place, (node,))
            return Match((node,), Known((items[place],)), f"element {place} of {len(items)}")
        if not items:
            return Refusal("the sequence is empty", (node,))
        join = (int(view.attr(node, "axis", 0)), bool(view.attr(node, "new_axis", 0)))
        return Match((node,), Known(tuple(items), join), f"{len(items)} elements")

    def apply(self, match: Match[Known], edit: Editor) -> None:
        node, known = match.nodes[0], match.facts
        if node.op == "SequenceLength":
            edit.replace_uses(node.outputs[0], edit.constant(np.array(len(known.items), dtype=np.int64), "length"))
            return
        made = [_emit(edit, item) for item in known.items]
        if known.join is None:
            edit.replace_uses(node.outputs[0], made[0])
            return
        axis, stacked = known.join
        if stacked:
            made = [emit.unsqueeze(edit, t, [axis]) for t in made]
        edit.replace_uses(node.outputs[0], edit.op("Concat", made, {"axis": axis}))


def _elements(sequence: Tensor, depth: int) -> list[Item] | str:
    """The elements of a sequence, or why they are not known."""
    node = view.producer(sequence)
    if node is None or depth == 0:
        return f"the elements of {sequence.name!r} are not known"
    if view.is_op(node, "SequenceConstruct"):
        return [Item(t) for t in node.inputs]
    if view.is_op(node, "SequenceEmpty"):
        return []
    if view.is_op(node, "SplitToSequence"):
        return _parts(node)
    if not view.is_op(node, "SequenceInsert", "SequenceErase", "Identity"):
        return f"{view.label(node)} ({node.op}) makes {sequence.name!r}, and its elements are not known"
    items = _elements(node.inputs[0], depth - 1)
    if isinstance(items, str) or node.op == "Identity":
        return items
    inserts = node.op == "SequenceInsert"
    size = len(items) + inserts
    place = _place(view.input_at(node, 2 if inserts else 1), size, len(items), size - 1)
    if isinstance(place, str):
        return place
    return items[:place] + ([Item(node.inputs[1])] if inserts else []) + items[place + (not inserts) :]


def _place(tensor: Tensor | None, size: int, length: int, default: int | None = None) -> int | str:
    """A place in [0, size), a negative one counted from ``length``; without a tensor the default; or what is wrong."""
    if tensor is None:
        return f"an element of {length} is not there" if default is None or default < 0 else default
    value = view.constant_value(tensor)
    if value is None or value.size != 1:
        return f"the place {tensor.name!r} in the sequence is not constant"
    place = int(value.reshape(-1)[0])
    place += length if place < 0 else 0
    return place if 0 <= place < size else f"place {place} is out of a sequence of {length}"


def _parts(node: Node) -> list[Item] | str:
    """What SplitToSequence makes."""
    source, sizes = node.inputs[0], view.input_at(node, 1)
    dims = view.shape(source)
    if dims is None:
        return f"the shape of {source.name!r} is not static"
    axis = view.axis(int(view.attr(node, "axis", 0)), len(dims))
    length = dims[axis]
    if sizes is None:
        squeezed = not view.attr(node, "keepdims", 1)
        return [Item(source, axis, i, i + 1, squeezed) for i in range(length)]
    value = view.constant_value(sizes)
    if value is None or np.any(value < 0) or (value.ndim == 0 and int(value) == 0):
        return f"the sizes of {view.label(node)} (SplitToSequence) are not constant"
    step = int(value) if value.ndim == 0 else 0
    ends = [min(i + step, length) for i in range(0, length, step)] if step else [int(e) for e in np.cumsum(value)]
    starts = [0, *ends[:-1]]
    return [Item(source, axis, s, e) for s, e in zip(starts, ends, strict=True)]


def _emit(edit: Editor, item: Item) -> Tensor:
    if item.stop < 0:
        return item.tensor
    part = emit.slice_(edit, item.tensor, [item.start], [item.stop], [item.axis])
    return emit.squeeze(edit, part, [item.axis]) if item.squeezed else part
