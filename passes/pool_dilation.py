"""MaxPools with holes in their window become maxima of shifted tensors.

What it does: along each dilated axis, the tensor is cut once for each tap of the window, and the pieces go through a
    chain of Max; a MaxPool without dilation does the other axis and the strides.
Law: a maximum over a window is the maximum over its rows of the maxima over its columns, and a row of taps is a maximum
    of shifted tensors.
Numerics: EXACT - a maximum picks a value; pads lie below whatever FP16 holds, or are zeros where nothing is below.
Scales: every new tensor takes the scale of the input (POOL-INT8-SCALE, Q-EQ).
Fires: on 4-D MaxPools of static shape with a dilation above 1, with any pads, strides and ceil_mode. The
    cuts are Slices, or one-hot depthwise Convs where the target takes no Slice.
Refuses: an Indices output that is read, windows that hold nothing but padding, more than 16 taps along an axis,
    auto_pad SAME, which onnxruntime and the standard work out differently beside dilations.
Source: ONNX MaxPool; POOL-DIL, SLICE-STRIDE, EW-LIST.
Example: MaxPool 2x1, dilation 3x1 -> Max(x without the last 3 rows, x without the first 3)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Tensor,
    convolve,
    emit,
    forms,
    pooling,
    ranges,
    view,
    windows,
)

_TAPS = 16
_LOWEST = -65504.0
"""The lowest number of FP16."""


@dataclass(frozen=True)
class Plan:
    """The windows with their dilations; how the tensor is cut and padded."""

    axes: tuple[pooling.Axis, ...]
    dilations: tuple[int, ...]
    slices: bool
    step: int


@dataclass(frozen=True)
class PoolDilation(Pass[Plan]):
    """Dilated MaxPool -> Max of shifted tensors."""

    name: ClassVar[str] = "pool-dilation"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("MaxPool",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        x, window, axes = view.input_at(node, 0), view.window(node), windows.axes(node)
        if x is None or window is None or axes is None or len(axes) != 2 or not windows.is_dilated(node):
            return None
        if not view.is_float(x):
            return None
        if str(view.attr(node, "auto_pad", "NOTSET")).startswith("SAME"):
            return Refusal(
                "its auto_pad beside dilations means other pads in onnxruntime than in the standard", (node,)
            )
        indices = view.output_at(node, 1)
        if indices is not None and (indices.outputs or context.model.is_pinned(indices)):
            return Refusal("its Indices output is read", (node,))
        if any(_only_padding(a, d) for a, d in zip(axes, window.dilations, strict=True)):
            return Refusal("a window of it holds nothing but padding", (node,))
        if any(a.kernel > _TAPS for a in axes):
            taps = "x".join(str(a.kernel) for a in axes)
            return Refusal(f"its window has {taps} taps; {_TAPS} along an axis are written out", (node,))
        slices = all(forms.takes_slices(context, x, axis) for axis in (2, 3))
        plan = Plan(axes, tuple(window.dilations), slices, convolve.narrower(context, x))
        holes = "x".join(str(d) for d in window.dilations)
        return Match((node,), plan, f"dilation {holes} as shifts")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, plan = match.nodes[0], match.facts
        x = _padded(edit, node.inputs[0], plan)
        for place in (0, 1):
            if plan.dilations[place] > 1:
                x = _largest_of_taps(edit, x, plan, place)
        stage = [
            pooling.Step(1, a.stride) if d > 1 else pooling.Step(a.kernel, a.stride, a.begin, a.end)
            for a, d in zip(plan.axes, plan.dilations, strict=True)
        ]
        if any(s != pooling.Step(1) for s in stage):
            x = edit.op("MaxPool", [x], pooling.attributes(stage))
        edit.replace_uses(node.outputs[0], x)


def _only_padding(axis: pooling.Axis, dilation: int) -> bool:
    taps = np.arange(axis.count)[:, None] * axis.stride - axis.begin + np.arange(axis.kernel)[None] * dilation
    return bool((~((taps >= 0) & (taps < axis.size)).any(axis=1)).any())


def _padded(edit: Editor, x: Tensor, plan: Plan) -> Tensor:
    """The rows and columns that the dilated windows read, and no others; what is not of x lies below all of it."""
    pads: list[int] = []
    for axis, dilation in zip(plan.axes, plan.dilations, strict=True):
        reach = (axis.count - 1) * axis.stride + (axis.kernel - 1) * dilation + 1
        pads += [axis.begin, reach - axis.begin - axis.size] if dilation > 1 else [0, 0]
    zeros = ranges.is_never_negative(x)
    padded = x
    if max(pads) > 0:
        padded = convolve.shifted(edit, x, [max(0, p) for p in pads], plan.step)
    if max(pads) > 0 and not zeros:
        form = view.shape(padded) or (0, 0, 0, 0)
        outside = np.full(form[2:], _LOWEST)
        top, left = max(0, pads[0]), max(0, pads[2])
        outside[top : top + plan.axes[0].size, left : left + plan.axes[1].size] = 0.0
        padded = edit.op("Add", [padded, emit.per_position(edit, outside, padded, "outside")])
    return padded


def _largest_of_taps(edit: Editor, x: Tensor, plan: Plan, place: int) -> Tensor:
    axis, dilation = plan.axes[place], plan.dilations[place]
    length = (axis.count - 1) * axis.stride + 1
    parts = [_cut(edit, x, place + 2, tap * dilation, tap * dilation + length, plan) for tap in range(axis.kernel)]
    return functools.reduce(lambda a, b: edit.op("Max", [a, b]), parts)


def _cut(edit: Editor, x: Tensor, axis: int, first: int, end: int, plan: Plan) -> Tensor:
    if (first, end) == (0, (view.shape(x) or (0,) * 4)[axis]):
        return x
    return emit.slice_(edit, x, [first], [end], [axis]) if plan.slices else forms.crop(edit, x, axis, first, end)
