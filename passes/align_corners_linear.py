"""Resize in any mode and ratio becomes repeated neighbours, weighted by constant maps.

What it does: each axis by itself. x repeated p times and read every q-th time (nearest Resize, strided one-hot Conv
    or MaxPool) gives each output i a base element x[g], g = q i div p. Every other neighbour that some row needs is
    x[g + d] - x[g]: a depthwise Conv before the repetition; it is weighted by a constant map and added.
Law: row i of the Resize's matrix A has few weights, and they sum to 1, so y[i] = x[g_i] + sum_d A[i, g_i + d] (x[g_i
    + d] - x[g_i]). For align_corners by a whole factor s, i (n - 1) / (s n - 1) lies less than 1 below i / s: d is -1
    or 1, two maps for each axis. Among the fractions p / q up to 32 / 8 (and whole ratios) the one that writes the
    fewest elements is taken, and the axis order with the smaller maps. Cost: a few MACs for each output element, maps
    [H, W] (kept once and spread over the channels where they are large, see dlarewrite.rewrite.spatial.times_map),
    and the activations of the terms. Two matrix products as 1x1 Convs need three Transposes, which no source
    documents.
Numerics: ROUNDING - weights are applied to differences.
Scales: repeated elements inherit the scale of x; differences have up to twice its range; the sums that of the output.
Fires: on a Resize or Upsample of [N, C, H, W] whose matrix rows sum to 1: align_corners, asymmetric and half_pixel
    linear, cubic, antialias, and nearest modes that read other elements than the DLA's.
Refuses: more than `terms` neighbours besides the base (8), with the number; a region of interest that is used.
Source: ONNX Resize (opset 10, 11, 13, 18, 19); RSZ-LIN-MODE, RSZ-NEAR, EW-CONST, EW-BCAST, CONV-PAD.
Example: Resize(x[1,8,4,1], sizes [1,8,8,1]; linear, align_corners)
    -> Add(Add(Resize(x, 2x1), Mul(Resize(Conv(x), 2x1), map)), Mul(Resize(Conv(x), 2x1), map))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, sampling, spatial

_LARGEST_KERNEL, _LARGEST_STRIDE = 32, 8


@dataclass(frozen=True)
class Band:
    """How one axis is computed: repeated ``factor`` times, read by a one-hot window of ``window`` every ``stride``.

    ``base`` is the offset of the base element, ``terms`` the other offsets with their [out] weights.
    """

    size: int
    out: int
    factor: int
    stride: int
    window: int
    base: int
    terms: tuple[tuple[int, spatial.Values], ...]
    mode: str = "nearest"

    @property
    def work(self) -> int:
        """Operations along the axis: elements repeated, read through the window, weighted and added."""
        read = self.out * self.window if self.stride > 1 or self.window > 1 else 0
        return (len(self.terms) + 1) * (self.factor * self.size + read) + 2 * len(self.terms) * self.out


@dataclass(frozen=True)
class AlignCornersLinear(Pass[tuple[Band, Band]]):
    """Resize in any mode and ratio -> nearest Resizes of x and of differences of x, weighted by constant maps."""

    name: ClassVar[str] = "align-corners-linear"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")
    terms: int = 8

    def match(self, node: Node, context: Context) -> Match[tuple[Band, Band]] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None or isinstance(plane, str):
            return None
        bands = []
        for place, (axis, matrix) in enumerate(plane.axes):
            name = "HW"[place]
            if not np.allclose(matrix.sum(axis=1), 1.0, atol=1e-4):
                return Refusal(f"the weights along {name} do not sum to 1", (node,))
            band = _native(node.inputs[0], place, axis, matrix, context) or _band(axis, matrix)
            if band is None:
                return Refusal(f"{name} {axis.size} -> {axis.out} is near no fraction up to 32 / 8", (node,))
            if len(band.terms) > self.terms:
                reason = (
                    f"{name} {axis.size} -> {axis.out} needs {len(band.terms)} neighbours, {self.terms} are allowed"
                )
                return Refusal(reason, (node,))
            bands.append(band)
        words = f"{plane.words}, {len(bands[0].terms)} and {len(bands[1].terms)} maps"
        return Match((node,), (bands[0], bands[1]), words)

    def apply(self, match: Match[tuple[Band, Band]], edit: Editor) -> None:
        node, (rows, columns) = match.nodes[0], match.facts
        order = [(0, rows), (1, columns)]
        rows_first = len(rows.terms) * rows.out * columns.size + len(columns.terms) * rows.out * columns.out
        columns_first = len(columns.terms) * rows.size * columns.out + len(rows.terms) * rows.out * columns.out
        x = node.inputs[0]
        for place, band in order if rows_first <= columns_first else reversed(order):
            x = _enlarge(edit, x, place, band)
        edit.replace_uses(node.outputs[0], x)


def _native(x: Tensor, place: int, axis: sampling.Axis, matrix: sampling.Matrix, context: Context) -> Band | None:
    """The axis as a linear Resize that the target has."""
    factor = sampling.linear_factor(axis, matrix)
    if not factor or not spatial.takes_resize(context, x, (1, factor) if place else (factor, 1), "linear"):
        return None
    return Band(axis.size, axis.out, factor, 1, 1, 0, (), "linear")


def _band(axis: sampling.Axis, matrix: sampling.Matrix) -> Band | None:
    """The cheapest repetition, or None where no fraction leads to the size."""
    rows, columns = np.nonzero(np.abs(matrix) > 1e-7)
    fractions = [(p, q) for q in range(1, _LARGEST_STRIDE + 1) for p in range(1, forms.LARGEST_SCALE + 1)]
    if axis.ratio and forms.scale_factors(axis.ratio) is not None:
        fractions.append((axis.ratio, 1))
    found = [_try(axis, matrix, rows, columns, p, q) for p, q in fractions]
    return min((band for band in found if band is not None), key=lambda b: b.work, default=None)


def _try(
    axis: sampling.Axis,
    matrix: sampling.Matrix,
    rows: spatial.Values,
    columns: spatial.Values,
    factor: int,
    stride: int,
) -> Band | None:
    # A window of this size makes (size * factor - window) div stride + 1 outputs exactly as many as are wanted.
    window = max(1, axis.size * factor - stride * axis.out + 1)
    if axis.size * factor <= stride * (axis.out - 1) or window > _LARGEST_KERNEL:
        return None
    at = stride * np.arange(axis.out) // factor
    offsets = columns - at[rows]
    weights = {int(d): np.zeros(axis.out) for d in np.unique(offsets)}
    for row, column, offset in zip(rows, columns, offsets, strict=True):
        weights[int(offset)][row] = matrix[row, column]
    base = 0 if 0 in weights else max(weights, key=lambda d: float(weights[d].sum()))
    terms = tuple((d, w) for d, w in weights.items() if d != base)
    reach = max(abs(d) for d in (base, *weights)) + 1
    return Band(axis.size, axis.out, factor, stride, window, base, terms) if reach <= _LARGEST_KERNEL else None


def _enlarge(edit: Editor, x: Tensor, place: int, band: Band) -> Tensor:
    if band.mode == "linear":
        return spatial.resize(edit, x, _pair(place, band.factor), "linear")
    total = _repeat(edit, _combine(edit, x, place, {band.base: 1.0}), place, band)
    for offset, weights in band.terms:
        difference = _repeat(edit, _combine(edit, x, place, {offset: 1.0, band.base: -1.0}), place, band)
        other = int(difference.shape[3 - place])
        values = np.broadcast_to(weights[:, None] if place == 0 else weights, _pair(place, band.out, other))
        total = edit.op("Add", [total, spatial.times_map(edit, difference, values)])
    return total


def _combine(edit: Editor, x: Tensor, place: int, taps: dict[int, float]) -> Tensor:
    """sum of tap * x[. + offset] along an axis, zeros beyond its ends."""
    if taps == {0: 1.0}:
        return x
    before, after = max(0, *(-d for d in taps)), max(0, *taps)
    kernel = np.zeros(before + after + 1)
    for offset, tap in taps.items():
        kernel[before + offset] += tap
    pads = (*_pair(place, before, 0), *_pair(place, after, 0))
    return forms.depthwise(edit, x, kernel.reshape(_pair(place, kernel.size)), pads=pads)


def _repeat(edit: Editor, x: Tensor, place: int, band: Band) -> Tensor:
    """Each element ``factor`` times, then every ``stride``-th."""
    x = forms.repeat_pixels(edit, x, *_pair(place, band.factor))
    strides, window = _pair(place, band.stride), _pair(place, band.window)
    if window != (1, 1):
        return forms.depthwise(edit, x, spatial.one_hot(window, (0, 0)), strides=strides)
    if strides == (1, 1):
        return x
    return edit.op("MaxPool", [x], {"kernel_shape": [1, 1], "strides": list(strides), "pads": [0, 0, 0, 0]})


def _pair(place: int, value: int, other: int = 1) -> spatial.Pair:
    return (other, value) if place else (value, other)
