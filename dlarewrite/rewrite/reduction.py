"""Reductions as the DLA can take them: what a ReduceX or global pool reduces, and means as pools or convolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.emit import scalar
from dlarewrite.rewrite.pooling import PAD, Plan, Step, align, attributes, factors, tiles

_KERNEL = 32
"""CONV-KERNEL: the largest kernel of a convolution."""


@dataclass(frozen=True)
class Reduction:
    """What a node reduces: ``axes`` are non-negative and sorted, and leave out those of length 1."""

    x: gs.Tensor
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    named: tuple[int, ...]
    keepdims: bool


def reduction(node: gs.Node) -> Reduction | None:
    """The reduction of a ReduceX or GlobalXPool over static floats with constant axes, else None."""
    x = view.input_at(node, 0)
    dims = view.shape(x)
    if x is None or dims is None or 0 in dims or not view.is_float(x):
        return None
    if node.op.startswith("Global"):
        named: tuple[int, ...] = tuple(range(2, len(dims)))
        keepdims = True
    else:
        given = _axes(node)
        if given is None:
            return None
        if not given and view.attr(node, "noop_with_empty_axes", 0):
            return None
        named = tuple(sorted({view.axis(a, len(dims)) for a in given})) or tuple(range(len(dims)))
        keepdims = bool(view.attr(node, "keepdims", 1))
    return Reduction(x, dims, tuple(a for a in named if dims[a] > 1), named, keepdims)


def _axes(node: gs.Node) -> tuple[int, ...] | None:
    """Axes by attribute or input, () where there are none, None where they are computed."""
    tensor = view.input_at(node, 1)
    if tensor is None:
        return view.ints(node, "axes")
    value = view.constant_value(tensor)
    return None if value is None else tuple(int(a) for a in value.reshape(-1))


@dataclass(frozen=True)
class SpatialMean:
    """A mean over H and W: pooling stages and the factor that takes padded zeros out again, or one kernel."""

    stages: tuple[tuple[Step, ...], ...]
    scale: float = 1.0
    kernel: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """For people: ``7x7, 2x2, times 1.16``."""
        if self.kernel is not None:
            return f"depthwise {self.kernel[0]}x{self.kernel[1]} Conv"
        parts = ["x".join(str(s.kernel) for s in stage) for stage in self.stages]
        return ", ".join(parts + ([f"times {self.scale:.4g}"] if self.scale != 1.0 else []))


def spatial_mean(context: Context, x: gs.Tensor, dims: tuple[int, ...], axes: tuple[int, ...]) -> SpatialMean:
    """The cheapest way that the target takes to average a 4-D ``x`` over ``axes`` (of 2 and 3), by elements moved."""
    sizes = (dims[2] if 2 in axes else 1, dims[3] if 3 in axes else 1)
    cuts = [_cut(size) for size in sizes]
    tiled = SpatialMean(align([c[0] for c in cuts]), math.prod(c[1] for c in cuts))
    fits = max(sizes) <= _KERNEL
    if tiled.scale == 1.0 or not fits:
        return tiled
    first = attributes(tiled.stages[0])
    if context.allows("AveragePool", [x], {**first, "count_include_pad": 1}):
        return tiled
    return SpatialMean((), kernel=sizes)


def _cut(size: int) -> tuple[Plan, float]:
    """Steps to 1 and padded size / size: equal tiles of the size, or of the nearest size that has them."""
    exact = factors(size)
    if exact is not None:
        return tiles(exact), 1.0
    best: tuple[tuple[int, bool, int], Plan, float] | None = None
    for pads in range(1, 2 * PAD + 1):
        begin, end = pads // 2, pads - pads // 2
        found = factors(size + pads)
        if found is None or end >= found[0]:
            continue
        rank = (len(found), begin != end, pads)
        if best is None or rank < best[0]:
            plan = (Step(found[0], found[0], begin, end), *tiles(found[1:]))
            best = (rank, plan, (size + pads) / size)
    # Among any 14 sizes up to 8192 (GEN-DIM) one has small factors only or the caller's node is refused anyway.
    return (best[1], best[2]) if best is not None else ((Step(size, size),), 1.0)


def emit_mean(edit: Editor, x: gs.Tensor, mean: SpatialMean, factor: float = 1.0) -> gs.Tensor:
    """The nodes of ``mean``; the result is multiplied by ``factor`` (the count of elements makes it a sum)."""
    if mean.kernel is not None:
        return _depthwise(edit, x, mean.kernel, factor)
    for stage in mean.stages:
        x = edit.op("AveragePool", [x], {**attributes(stage), "count_include_pad": 1})
    scale = mean.scale * factor
    return x if scale == 1.0 else edit.op("Mul", [x, scalar(edit, scale, x, "count")])


def _depthwise(edit: Editor, x: gs.Tensor, kernel: tuple[int, int], factor: float) -> gs.Variable:
    channels = int(x.shape[1])
    weight = np.full((channels, 1, *kernel), factor / math.prod(kernel), dtype=view.dtype(x))
    return edit.op(
        "Conv", [x, edit.constant(weight, "mean")], {"kernel_shape": list(kernel), "group": channels}
    )


def emit_channel_sum(edit: Editor, x: gs.Tensor, factor: float = 1.0) -> gs.Variable:
    """Sum of a 4-D ``x`` over its channels times ``factor``, as a 1x1 Conv with one output map."""
    weight = np.full((1, int(x.shape[1]), 1, 1), factor, dtype=view.dtype(x))
    return edit.op("Conv", [x, edit.constant(weight, "ones")], {"kernel_shape": [1, 1]})
