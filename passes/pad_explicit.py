"""Pads that stand alone become one-hot convolutions.

What it does: zeros around H and W come from depthwise Convs with kernel a + b + 1, their one at row b, and pads a + b
    on both sides, for a zeros before and b after (in steps above 31, an axis at a time above 7); zero channels come
    from a 1x1 Conv of zeros and a Concat; a negative width is a Slice. Another fill value is added on the border by a
    constant. Modes reflect and edge fetch each border element by a depthwise Conv of two taps and keep it by a mask
    that Convs make from a tensor of ones. One Conv over both axes is a layer less, two of one axis each are fewer MACs:
    up to 7 the layer decides, above the MACs.
Law: such a Conv writes element i - a where it exists and zero elsewhere; x + 0 = x, 0 * x = 0.
Numerics: EXACT - products with one and zero, sums with zero, as long as the input is finite.
Scales: the result inherits the scale of the input; masks are zero or one.
Fires: on Pad of rank 4 with constant widths that leave the batch alone, where the target refuses it.
Refuses: a padded batch; mode wrap; reflect by more than 7 and edge by more than 15; a fill value that is not finite.
Source: SLICE-FILL, SLICE-MODE, CONV-PAD, CONV-PAD-LT.
Example: Pad(x, H and W by 1) -> depthwise Conv 3x3, pads 2, its one in the middle
"""

from __future__ import annotations

import math
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
    mirror,
    view,
)


@dataclass(frozen=True)
class Widths:
    """Zeros (or, negative, cuts) before and after C, and around H and W (top, bottom, left, right); the fill value."""

    channels: tuple[int, int]
    plane: tuple[int, int, int, int]
    value: float
    step: int
    mode: str = "constant"


@dataclass(frozen=True)
class PadExplicit(Pass[Widths]):
    """Pad -> depthwise one-hot Conv."""

    name: ClassVar[str] = "pad-explicit"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Pad",)

    def match(self, node: Node, context: Context) -> Match[Widths] | Refusal | None:
        x = view.input_at(node, 0)
        form = view.shape(x)
        read = forms.read_pad(node, context.opset) if form is not None and len(form) == 4 else None
        if x is None or form is None or read is None or not view.is_float(x):
            return None
        widths, value = read
        if widths[0] or widths[4]:
            return Refusal("the batch is padded", (node,))
        plane = (widths[2], widths[6], widths[3], widths[7])
        mode = str(view.attr(node, "mode", "constant"))
        if mode != "constant":
            return _copying(node, plane, (widths[1], widths[5]), mode)
        if not math.isfinite(value):
            return Refusal(f"the fill value {value} is not finite", (node,))
        found = Widths((widths[1], widths[5]), plane, value, convolve.narrower(context, x))
        return Match((node,), found, f"widths {list(widths)}" + (f" of {value:g}" if value else ""))

    def apply(self, match: Match[Widths], edit: Editor) -> None:
        node, widths = match.nodes[0], match.facts
        if widths.mode != "constant":
            edit.replace_uses(node.outputs[0], mirror.mirrored(edit, node.inputs[0], widths.plane, widths.mode))
            return
        x = convolve.shifted(edit, node.inputs[0], widths.plane, widths.step)
        if any(widths.channels):
            x = _channels(edit, x, widths.channels)
        if widths.value:
            x = edit.op("Add", [x, edit.constant(_border(node, widths), "border", view.dtype(x))])
        edit.replace_uses(node.outputs[0], x)


def _copying(
    node: Node, plane: tuple[int, int, int, int], channels: tuple[int, int], mode: str
) -> Match[Widths] | Refusal:
    """A Pad that repeats elements of the plane."""
    if mode not in mirror.MODES or any(channels) or min(plane) < 0:
        return Refusal(f"mode {mode!r} with widths {list(plane)}, channels {list(channels)} has no form here", (node,))
    if max(plane) > mirror.WIDEST[mode]:
        return Refusal(f"mode {mode!r} by {max(plane)} is wider than {mirror.WIDEST[mode]}", (node,))
    return Match((node,), Widths((0, 0), plane, 0.0, 0, mode), f"{mode} by {list(plane)}")


def _channels(edit: Editor, x: Tensor, widths: tuple[int, int]) -> Tensor:
    """Channels cut off, or zero channels put before and after."""
    count = (view.shape(x) or (1, 1))[1]
    first, end = max(0, -widths[0]), count + min(0, widths[1])
    if (first, end) != (0, count):
        x = emit.slice_(edit, x, [first], [end], [1])
    zeros = [np.zeros((max(0, width), end - first, 1, 1), dtype=view.dtype(x) or np.float32) for width in widths]
    made = [convolve.convolve(edit, x, z, None, hint="", name="zeros") if len(z) else None for z in zeros]
    parts = [part for part in (made[0], x, made[1]) if part is not None]
    return parts[0] if len(parts) == 1 else edit.op("Concat", parts, {"axis": 1})


def _border(node: Node, widths: Widths) -> np.typing.NDArray[np.float64]:
    """The fill value where nothing of the input lies, [1, C, H, W]."""
    form = view.shape(node.outputs[0]) or (1, 1, 1, 1)
    border = np.full((1, *form[1:]), widths.value)
    (front, back), (top, bottom, left, right) = widths.channels, widths.plane
    spans = zip((front, top, left), (back, bottom, right), form[1:], strict=True)
    inside = tuple(slice(max(0, a), size - max(0, b)) for a, b, size in spans)
    border[:, inside[0], inside[1], inside[2]] = 0
    return border
