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
from dlarewrite.rewrite.pooling import Step, align, attributes, tile_plan

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
        if not self.stages:
            return "nothing to do"
        parts = ["x".join(str(s.kernel) for s in stage) for stage in self.stages]
        return ", ".join(parts + ([f"times {self.scale:.4g}"] if self.scale != 1.0 else []))


def spatial_mean(context: Context, x: gs.Tensor, dims: tuple[int, ...], axes: tuple[int, ...]) -> SpatialMean:
    """How to average a 4-D ``x`` over ``axes`` (of 2 and 3): by pools, else by a convolution if the target refuses.

    Pools come first: they read ``x`` once and bring no weights; a kernel of the size of ``x`` doubles what is read.
    """
    sizes = (dims[2] if 2 in axes else 1, dims[3] if 3 in axes else 1)
    plans = [tile_plan(size) for size in sizes]
    padded = math.prod(step.kernel for plan in plans for step in plan)
    tiled = SpatialMean(align(plans), padded / math.prod(sizes))
    if tiled.scale == 1.0 or max(sizes) > _KERNEL:
        return tiled
    first = attributes(tiled.stages[0])
    if context.allows("AveragePool", [x], {**first, "count_include_pad": 1}):
        return tiled
    return SpatialMean((), kernel=sizes)


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
    return edit.op("Conv", [x, edit.constant(weight, "mean")], {"kernel_shape": list(kernel), "group": channels})


def emit_channel_sum(edit: Editor, x: gs.Tensor, factor: float = 1.0) -> gs.Variable:
    """Sum of a 4-D ``x`` over its channels times ``factor``, as a 1x1 Conv with one output map."""
    weight = np.full((1, int(x.shape[1]), 1, 1), factor, dtype=view.dtype(x))
    return edit.op("Conv", [x, edit.constant(weight, "ones")], {"kernel_shape": [1, 1]})
