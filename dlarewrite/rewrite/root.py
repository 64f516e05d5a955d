"""The inverse square root without Sqrt, Pow or Div: Newton's iteration from a polygon of Relus.

y <- y (3/2 - v y^2) has no division and converges to 1/sqrt(2 v) from any start with v y^2 < 3/2. A polygon through
points of the curve 1/sqrt(v), three times as far apart each, is such a start: two 1x1 Convs with a Relu between them.
The curve is convex, so that the Relus' weights are all positive and no digits cancel.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, dtype, shape
from dlarewrite.rewrite.emit import scalar

SMALLEST = 2.0**-20
"""Least offset (epsilon) that keeps the polygon's weights within FP16."""

LARGEST = 2.0**32
"""Where the polygon ends: the square of what FP16 can hold."""

_RATIO = 3.0
_LIFT = 0.9446
"""Factor on the polygon, which lies above its curve, so that the first step errs alike at both ends."""

OFFSET = 2.0**-4
"""What the Relus' offsets are, so that the weights of a small epsilon stay within FP16."""

_STEPS = 3
_MAPS = 8192
"""CONV-OUTMAPS."""


def polygon(low: float) -> tuple[Array, Array]:
    """(b, w) with sum_k w_k relu(OFFSET - b_k v) near 1/sqrt(2 v) for v in [low, LARGEST], float64."""
    count = math.ceil(math.log(LARGEST / low, _RATIO)) + 1
    points = low * _RATIO ** np.arange(count + 1)
    values = np.append(_LIFT / np.sqrt(2.0 * points[:-1]), 0.0)
    slopes = np.append(np.diff(values) / np.diff(points), 0.0)
    return OFFSET / points[1:], np.diff(slopes) * points[1:] / OFFSET


def emit_inverse_root(edit: Editor, negative: gs.Tensor, low: float) -> gs.Variable:
    """1/sqrt(2 v) of an NCHW tensor that holds -v, v >= ``low`` >= SMALLEST, to 1.5e-9 in exact arithmetic."""
    form, kind = shape(negative), dtype(negative)
    if form is None or len(form) != 4 or kind is None:
        raise EditError(f"tensor {negative.name!r} has shape {negative.shape}, not a static [N, C, H, W]")
    maps = form[1]
    bends, weights = polygon(low)
    part = max(_MAPS // maps, 1)
    y: gs.Variable | None = None
    for first in range(0, len(bends), part):
        some = slice(first, first + part)
        spread = np.tile(bends[some], maps).reshape(-1, 1, 1, 1)
        offset = edit.constant(np.full(len(spread), OFFSET), "offset", kind)
        bent = edit.op("Relu", [_conv(edit, negative, edit.constant(spread, "bends", kind), maps, offset)])
        gather = np.tile(weights[some], (maps, 1)).reshape(maps, -1, 1, 1)
        chord = _conv(edit, bent, edit.constant(gather, "slopes", kind), maps)
        y = chord if y is None else edit.op("Add", [y, chord])
    if y is None:
        raise EditError(f"no value lies between {low} and {LARGEST}")
    for _ in range(_STEPS - 1):
        y = edit.op("Mul", [y, edit.op("Add", [_residue(edit, negative, y), scalar(edit, 1.5, y, "three_halves")])])
    # The last step is a small correction, of which the rounding does not count.
    correction = edit.op("Mul", [y, edit.op("Add", [_residue(edit, negative, y), scalar(edit, 0.5, y, "half")])])
    return edit.op("Add", [y, correction])


def _residue(edit: Editor, negative: gs.Tensor, y: gs.Tensor) -> gs.Variable:
    """-v y^2, which is -1/2 at the root."""
    return edit.op("Mul", [edit.op("Mul", [negative, y]), y])


def _conv(edit: Editor, x: gs.Tensor, weight: gs.Tensor, group: int, bias: gs.Tensor | None = None) -> gs.Variable:
    inputs = [x, weight] if bias is None else [x, weight, bias]
    return edit.op("Conv", inputs, {"kernel_shape": [1, 1], "group": group})
