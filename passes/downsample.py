"""Resize to a smaller or a fractional size becomes a strided pool or Conv.

What it does: for a size that is p / q of the old one, each axis is repeated p times (nearest Resize, or linear up to
    x4), and then every q-th window is read: MaxPool 1x1 with stride q where the window is one element at its start,
    AveragePool where all weights are equal, else a depthwise Conv. Strides too large for one node are spread over
    more.
Law: nearest reads x[floor((q i + o) / p)], which is element q i + o of x repeated p times. Linear half_pixel by 1 / q
    reads the middle element of each window of q (q odd) or the mean of the middle two (q even). What holds for the
    node is found by comparing matrices. Cost: no MACs for the pools; for a Conv, the window's size per output
    element.
Numerics: ROUNDING - means are summed in another order; where one element is read, the result is exact.
Scales: all new tensors inherit the scale of x (pooling asks for equal scales).
Fires: on a Resize or Upsample of [N, C, H, W] of which an axis shrinks or has a ratio that is not whole, where every
    row reads the same window.
Refuses: windows that change from row to row (align_corners, antialias at the border), where the mode is nearest;
    prime strides above 16.
Source: ONNX Resize (opset 10, 11, 13, 18, 19); RSZ-NEAR, POOL-WIN, POOL-STRIDE, CONV-STRIDE.
Example: Resize(x[1,3,64,64], scales [1,1,0.5,0.5]; linear, half_pixel) -> AveragePool(x; kernel 2, strides 2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, sampling, spatial

_CONV_STRIDE, _POOL_STRIDE, _POOL_WINDOW, _NATIVE_LINEAR = 8, 16, 8, 4


@dataclass(frozen=True)
class Reading:
    """How one axis is read: enlarged by ``factor``, then a window of weights every ``stride`` elements."""

    factor: int
    mode: str
    stride: int
    window: tuple[float, ...]

    @property
    def mean(self) -> bool:
        return len(set(self.window)) == 1


@dataclass(frozen=True)
class Downsample(Pass[tuple[Reading, Reading]]):
    """Resize to a smaller or fractional size -> Resize by whole factors, then a strided pool or depthwise Conv."""

    name: ClassVar[str] = "downsample"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    def match(self, node: Node, context: Context) -> Match[tuple[Reading, Reading]] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None or isinstance(plane, str) or all(axis.ratio for axis, _ in plane.axes):
            return None
        readings = [_reading(axis, matrix) for axis, matrix in plane.axes]
        if readings[0] is None or readings[1] is None:
            if plane.sampling.mode != "nearest":
                return None
            return Refusal(f"{plane.words}: the window changes from row to row", (node,))
        for axis, reading in zip("HW", readings, strict=True):
            if reading is not None and _steps(reading.stride) is None:
                return Refusal(
                    f"the stride {reading.stride} of {axis} has a prime factor above {_POOL_STRIDE}", (node,)
                )
            if reading is not None and not _takes_factor(node.inputs[0], reading, axis, context):
                return Refusal(f"the target cannot enlarge {axis} by {reading.factor} ({reading.mode})", (node,))
        return Match(
            (node,), (readings[0], readings[1]), f"{plane.words} by {_words(readings[0])}, {_words(readings[1])}"
        )

    def apply(self, match: Match[tuple[Reading, Reading]], edit: Editor) -> None:
        node, (rows, columns) = match.nodes[0], match.facts
        x = node.inputs[0]
        for mode in ("nearest", "linear"):
            x = _enlarge(edit, x, [r.factor if r.mode == mode else 1 for r in (rows, columns)], mode)
        strides = [rows.stride, columns.stride]
        if rows.mean and columns.mean and max(len(rows.window), len(columns.window)) <= _POOL_WINDOW:
            x, strides = _pool(edit, x, (len(rows.window), len(columns.window)), strides)
        else:
            first = [max(d for d in range(1, _CONV_STRIDE + 1) if s % d == 0) for s in strides]
            x = forms.depthwise(edit, x, np.outer(rows.window, columns.window), strides=first)
            strides = [s // f for s, f in zip(strides, first, strict=True)]
        while max(strides) > 1:
            x, strides = _pool(edit, x, (1, 1), strides)
        edit.replace_uses(node.outputs[0], x)


def _reading(axis: sampling.Axis, matrix: sampling.Matrix) -> Reading | None:
    """The reading whose matrix is the axis's, or None."""
    common = math.gcd(axis.size, axis.out)
    factor, stride = axis.out // common, axis.size // common
    if axis.size * factor > 1 << 16:
        return None
    middle = (0.0,) * ((stride - 1) // 2) + ((1.0,) if stride % 2 else (0.5, 0.5))
    picks = [(0.0,) * at + (1.0,) for at in range(stride)]
    nearest = sampling.nearest_matrix(axis.size, factor)
    bases = [("nearest", nearest, picks)]
    if 1 < factor <= _NATIVE_LINEAR:
        bases.append(("linear", sampling.linear_matrix(axis.size, factor), [middle]))
    elif factor == 1:
        bases.append(("nearest", nearest, [middle]))
    for mode, base, windows in bases:
        for window in windows:
            if np.allclose(_read(base, window, stride, axis.out), matrix, rtol=0, atol=1e-6):
                return Reading(factor, mode, stride, window)
    return None


def _read(base: sampling.Matrix, window: tuple[float, ...], stride: int, out: int) -> spatial.Values:
    parts = [weight * base[at::stride][:out] for at, weight in enumerate(window) if weight]
    return np.asarray(sum(parts))


def _steps(stride: int) -> list[int] | None:
    """The stride as a product of pool strides, or None."""
    steps = []
    while stride > 1:
        step = max(d for d in range(1, _POOL_STRIDE + 1) if stride % d == 0)
        if step == 1:
            return None
        steps.append(step)
        stride //= step
    return steps


def _takes_factor(x: Tensor, reading: Reading, axis: str, context: Context) -> bool:
    steps = forms.scale_factors(reading.factor)
    pairs = [(f, 1) if axis == "H" else (1, f) for f in steps or ()]
    return steps is not None and all(spatial.takes_resize(context, x, pair, reading.mode) for pair in pairs)


def _enlarge(edit: Editor, x: Tensor, factors: list[int], mode: str) -> Tensor:
    if mode == "linear":
        return spatial.resize(edit, x, (factors[0], factors[1]), mode)
    return forms.repeat_pixels(edit, x, factors[0], factors[1])


def _pool(edit: Editor, x: Tensor, window: spatial.Pair, strides: list[int]) -> tuple[Tensor, list[int]]:
    """A pool of ``window`` with as much of ``strides`` as one pool takes, and what is left of them."""
    first = [max(d for d in range(1, _POOL_STRIDE + 1) if s % d == 0) for s in strides]
    attrs: dict[str, object] = {"kernel_shape": list(window), "strides": first, "pads": [0, 0, 0, 0]}
    op = "MaxPool"
    if window != (1, 1):
        # Without pads both ways of counting are the same; older targets take the inclusive one only.
        op, attrs = "AveragePool", {**attrs, "count_include_pad": 1}
    made = edit.op(op, [x], attrs)
    return made, [s // f for s, f in zip(strides, first, strict=True)]


def _words(reading: Reading) -> str:
    enlarged = f"{reading.mode} x{reading.factor} then " if reading.factor > 1 else ""
    return f"{enlarged}{len(reading.window)} every {reading.stride}"
