"""Strided Slices that are concatenated become a strided Conv, or part of the Conv that reads them.

What it does: Concat over channels of x[:, :, a::s, b::t] for any list of (a, b), whether cut in one Slice or in one
    for each axis -> Conv with kernel = stride = (s, t) and one-hot weights. Where one Conv (group 1, dilation 1) is
    all that reads the Concat, its weights take the patches in: kernel k -> s k, stride -> s times as large, pads p ->
    s p.
Law: each group of output channels is one pixel of each s x t block; the merged Conv multiplies the same pairs. Cost:
    merged, not one MAC is added; one-hot, s t C for each output element, so merging always comes first.
Numerics: ROUNDING - a merged Conv sums in another order; the one-hot Conv is exact.
Scales: the patches inherit the scale of x.
Fires: on a Concat (axis 1) of at least two such Slices of one static [N, C, H, W], H and W multiples of the steps.
Refuses: H or W that is no multiple of its step; a Conv that the target refuses (step over 8).
Source: ONNX Slice (opset 10, 11, 13), Concat; SLICE-STRIDE, CONV-STRIDE, CONV-KERNEL.
Example: Conv(Concat(x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]), w[32,12,3,3]; pads 1)
    -> Conv(x, w'[32,3,6,6]; strides 2, pads 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, patches, view


@dataclass(frozen=True)
class Strided:
    """A tensor as source[:, :, row::step, column::step], and the Slices that cut it."""

    source: Tensor
    start: tuple[int, int]
    step: tuple[int, int]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Focus:
    """Where the patches come from, what they are, and the Conv that takes them in or None."""

    source: Tensor
    cut: patches.Patches
    reader: patches.Reader | None


@dataclass(frozen=True)
class FocusToConv(Pass[Focus]):
    """Concat of strided Slices -> strided one-hot Conv, merged into the Conv behind it where possible."""

    name: ClassVar[str] = "focus-to-conv"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Concat",)

    def match(self, node: Node, context: Context) -> Match[Focus] | Refusal | None:
        output = node.outputs[0]
        if view.axis(int(view.attr(node, "axis", 0)), 4) != 1 or len(node.inputs) < 2 or not view.is_float(output):
            return None
        cuts = [_strided(tensor) for tensor in node.inputs]
        first = cuts[0]
        if first is None or max(first.step) == 1:
            return None
        if any(c is None or c.source is not first.source or c.step != first.step for c in cuts):
            return None
        slices = {id(n): n for c in cuts if c is not None for n in c.nodes}
        nodes = (node, *slices.values())
        size = view.shape(first.source) or ()
        for name, total, step in zip("HW", size[2:], first.step, strict=True):
            if total % step:
                return Refusal(f"{name} = {total} is no multiple of the step {step}", nodes)
        found = patches.Patches(first.step, tuple(c.start for c in cuts if c is not None))
        reader = patches.reader(context, first.source, output, found)
        if reader is not None:
            return Match((*nodes, reader.node), Focus(first.source, found, reader), f"into {view.label(reader.node)}")
        if not patches.takes(context, first.source, found):
            return Refusal(f"the target refuses a one-hot Conv with kernel and stride {first.step}", nodes)
        return Match(nodes, Focus(first.source, found, None), f"{len(cuts)} slices")

    def apply(self, match: Match[Focus], edit: Editor) -> None:
        facts = match.facts
        patches.emit(edit, facts.source, match.nodes[0].outputs[0], facts.cut, facts.reader)


def _strided(tensor: Tensor) -> Strided | None:
    """The tensor as a strided cut that reaches the end of H and W, through a chain of Slices; None where it is none."""
    start, step, nodes = [0, 0], [1, 1], []
    result = view.shape(tensor)
    while (node := view.producer(tensor)) is not None and view.is_op(node, "Slice"):
        cut = _cut(node)
        if cut is None:
            break
        for axis, (first, stride) in cut.items():
            start[axis - 2] = first + stride * start[axis - 2]
            step[axis - 2] *= stride
        nodes.append(node)
        tensor = node.inputs[0]
    size = view.shape(tensor)
    if size is None or result is None or len(size) != 4 or size[:2] != result[:2]:
        return None
    whole = [-(-(n - s) // t) for n, s, t in zip(size[2:], start, step, strict=True)]
    if list(result[2:]) != whole or any(s >= t for s, t in zip(start, step, strict=True)):
        return None
    return Strided(tensor, (start[0], start[1]), (step[0], step[1]), tuple(nodes))


def _cut(node: Node) -> dict[int, tuple[int, int]] | None:
    """{axis: (start, step)} of a Slice of H and W with constant bounds and forward steps."""
    size = view.shape(node.inputs[0])
    values = [view.constant_value(view.input_at(node, index)) for index in (1, 3, 4)]
    if size is None or len(size) != 4 or values[0] is None:
        return None
    starts = np.ravel(values[0])
    axes = np.arange(starts.size) if values[1] is None else np.ravel(values[1])
    steps = np.ones(starts.size, dtype=np.int64) if values[2] is None else np.ravel(values[2])
    found = {}
    for start, axis, step in zip(starts, axes, steps, strict=True):
        place = view.axis(int(axis), 4)
        first = int(start) + (size[place] if start < 0 else 0)
        if step < 1 or (place < 2 and (step != 1 or first != 0)):
            return None
        if place >= 2:
            found[place] = (max(first, 0), int(step))
    return found
