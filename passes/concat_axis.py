"""Concats over height or width become sums of padded tensors.

What it does: each input of a Concat along H or W gets zeros where the others lie (one-hot depthwise Convs, at most 31
    rows or columns each), and the padded tensors are added. An input of one row or column among many is repeated by a
    nearest Resize and masked, which costs no MACs.
Law: an element plus zeros is the element; an element times one is the element.
Numerics: EXACT - no element is changed.
Scales: the padded tensors and their sums inherit the scale of the result.
Fires: on Concat of activations of rank 4 along H or W.
Refuses: inputs that are constants.
Source: CAT-AXIS, CONV-PAD, CONV-PAD-LT.
Example: Concat(a of 8 rows, b of 4 rows, axis 2) -> Add(a padded by 4 below, b padded by 8 above)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, convolve, emit, forms, view

_MANY = 8
"""From this size on, one row or column is repeated and masked rather than padded."""


@dataclass(frozen=True)
class Plan:
    """Zeros before and after each input along the axis; the widest step of padding."""

    axis: int
    zeros: tuple[tuple[int, int], ...]
    step: int


@dataclass(frozen=True)
class ConcatAxis(Pass[Plan]):
    """Concat over H or W -> padded tensors, added."""

    name: ClassVar[str] = "concat-axis"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Concat",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        out = view.shape(node.outputs[0])
        axis = view.axis(int(view.attr(node, "axis", 1)), 4)
        if out is None or len(out) != 4 or axis not in (2, 3) or not view.is_float(node.outputs[0]):
            return None
        if any(view.is_constant(t) for t in node.inputs):
            return Refusal("one of its inputs is a constant", (node,))
        sizes = [(view.shape(t) or (0,) * 4)[axis] for t in node.inputs]
        if len(sizes) < 2 or 0 in sizes:
            return None
        before = [sum(sizes[:i]) for i in range(len(sizes))]
        zeros = tuple((b, out[axis] - b - size) for b, size in zip(before, sizes, strict=True))
        step = min(convolve.narrower(context, t) for t in node.inputs)
        return Match((node,), Plan(axis, zeros, step), f"{len(sizes)} inputs padded to {out[axis]}")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, plan = match.nodes[0], match.facts
        parts: list[Tensor] = []
        for tensor, (before, after) in zip(node.inputs, plan.zeros, strict=True):
            pads = (before, after, 0, 0) if plan.axis == 2 else (0, 0, before, after)
            size = (view.shape(tensor) or (0,) * 4)[plan.axis] + before + after
            if size == before + after + 1 and size >= _MANY and forms.scale_factors(size) is not None:
                parts.append(_masked(edit, tensor, plan.axis, before, size))
            else:
                parts.append(convolve.shifted(edit, tensor, pads, plan.step))
        edit.replace_uses(node.outputs[0], functools.reduce(lambda a, b: edit.op("Add", [a, b]), parts))


def _masked(edit: Editor, x: Tensor, axis: int, place: int, size: int) -> Tensor:
    """The one row or column of x at ``place`` of ``size``, zeros elsewhere."""
    whole = forms.repeat_pixels(edit, x, *((size, 1) if axis == 2 else (1, size)))
    mask = np.zeros((size, 1) if axis == 2 else (1, size))
    mask[(place, 0) if axis == 2 else (0, place)] = 1
    dims = tuple(int(d) for d in whole.shape[2:])
    return edit.op("Mul", [whole, emit.per_position(edit, np.broadcast_to(mask, dims), whole, "mask")])
