"""Reductions as the DLA can take them: what a ReduceX or global pool reduces, means as pools, sums over C as a Conv."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.emit import scalar
from dlarewrite.rewrite.pooling import Step, align, attributes, tile_plan


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
class Behind:
    """A reduction of what a Transpose makes, as the same of what the Transpose reads: its result is transposed then."""

    found: Reduction
    transpose: gs.Node
    perm: tuple[int, ...]


def behind_transpose(found: Reduction) -> Behind | None:
    """The reduction before the Transpose of a rank 4 tensor that leaves the batch where it is; None without one."""
    maker = view.producer(found.x)
    if maker is None or not view.is_op(maker, "Transpose") or len(found.dims) != 4 or not found.keepdims:
        return None
    perm, dims = view.ints(maker, "perm"), view.shape(maker.inputs[0])
    if len(perm) != 4 or perm[0] != 0 or dims is None:
        return None
    axes, named = (tuple(sorted(perm[a] for a in given)) for given in (found.axes, found.named))
    return Behind(replace(found, x=maker.inputs[0], dims=dims, axes=axes, named=named), maker, perm)


@dataclass(frozen=True)
class SpatialMean:
    """A mean over H and W: pooling stages, and the factor that takes padded zeros out of the count again."""

    stages: tuple[tuple[Step, ...], ...]
    scale: float = 1.0

    @property
    def text(self) -> str:
        """For people: ``7x7, 2x2, times 1.16``."""
        if not self.stages:
            return "nothing to do"
        parts = ["x".join(str(s.kernel) for s in stage) for stage in self.stages]
        return ", ".join(parts + ([f"times {self.scale:.4g}"] if self.scale != 1.0 else []))


def spatial_mean(dims: tuple[int, ...], axes: tuple[int, ...]) -> SpatialMean:
    """How to average [N, C, H, W] over ``axes`` (of 2 and 3) by pools of equal tiles.

    Every size has them, if padded by a few zeros; a depthwise convolution of the size of the map would do as well,
    but reads weights as large as the map besides it.
    """
    sizes = (dims[2] if 2 in axes else 1, dims[3] if 3 in axes else 1)
    plans = [tile_plan(size) for size in sizes]
    padded = math.prod(step.kernel for plan in plans for step in plan)
    return SpatialMean(align(plans), padded / math.prod(sizes))


def emit_mean(edit: Editor, x: gs.Tensor, mean: SpatialMean, factor: float = 1.0) -> gs.Tensor:
    """The nodes of ``mean``; the result is multiplied by ``factor`` (the count of elements makes it a sum)."""
    for stage in mean.stages:
        x = edit.op("AveragePool", [x], {**attributes(stage), "count_include_pad": 1})
    scale = mean.scale * factor
    return x if scale == 1.0 else edit.op("Mul", [x, scalar(edit, scale, x, "count")])


def emit_channel_sum(edit: Editor, x: gs.Tensor, factor: float = 1.0) -> gs.Variable:
    """Sum of a 4-D ``x`` over its channels times ``factor``, as a 1x1 Conv with one output map."""
    weight = np.full((1, int(x.shape[1]), 1, 1), factor, dtype=view.dtype(x))
    return edit.op("Conv", [x, edit.constant(weight, "ones")], {"kernel_shape": [1, 1]})
