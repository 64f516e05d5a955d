"""Resize as arithmetic: what each axis of a Resize or Upsample reads, as one constant matrix per axis.

Resize is separable: ``y = A_n x A_c x A_h x A_w`` along its axes. Two nodes are equal for given sizes if and only if
their matrices are, whatever their modes are called; passes compare matrices, never names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.rewrite import interpolation
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.interpolation import Axis as Axis
from dlarewrite.rewrite.interpolation import Matrix as Matrix

_LARGEST = 1 << 24
_CROP = "tf_crop_and_resize"


@dataclass(frozen=True)
class Sampling:
    """A Resize with static sizes: one :class:`Axis` per dimension, and what all axes share."""

    axes: tuple[Axis, ...]
    mode: str = "nearest"
    coordinates: str = "asymmetric"
    rounding: str = "floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def matrix(self, index: int) -> Matrix | None:
        """[out, size] weights of one axis, or None where it would have more than 2**24 elements."""
        axis = self.axes[index]
        if axis.size * axis.out > _LARGEST or not axis.size or not axis.out:
            return None
        if axis.scale == 1.0 and axis.size == axis.out:
            return np.eye(axis.size, dtype=np.float32)
        if self.antialias and self.mode != "nearest" and axis.scale < 1.0:
            cubic = self.cubic if self.mode == "cubic" else None
            return interpolation.antialiased(self.coordinates, axis, cubic, exclude_outside=self.exclude_outside)
        where = interpolation.coordinates(self.coordinates, axis)
        if self.mode == "nearest":
            columns, weights = interpolation.nearest(self.rounding, axis, where)
        elif self.mode == "cubic":
            columns, weights = interpolation.cubic(self.cubic, axis, where, exclude_outside=self.exclude_outside)
        else:
            columns, weights = interpolation.linear(axis, where)
        found = np.zeros((axis.out, axis.size), dtype=np.float64)
        np.add.at(found, (np.arange(axis.out)[:, None], columns), weights)
        return found.astype(np.float32)


def nearest_matrix(size: int, factor: int) -> Matrix:
    """Each element ``factor`` times: what a nearest Resize by a whole factor (asymmetric, floor) reads."""
    return np.repeat(np.eye(size, dtype=np.float32), factor, axis=0)


def linear_matrix(size: int, factor: int) -> Matrix:
    """Linear half_pixel interpolation by a whole factor."""
    found = Sampling((Axis(size, size * factor, float(factor)),), "linear", "half_pixel").matrix(0)
    if found is None:
        raise ValueError(f"a linear matrix of {size} x {size * factor} elements is too large")
    return found


@dataclass(frozen=True)
class Plane:
    """A Resize of H and W alone: their axes and [out, size] matrices."""

    sampling: Sampling
    height: Axis
    width: Axis
    rows: Matrix
    columns: Matrix

    @property
    def axes(self) -> tuple[tuple[Axis, Matrix], tuple[Axis, Matrix]]:
        return (self.height, self.rows), (self.width, self.columns)

    @property
    def words(self) -> str:
        """The sizes, for people."""
        return f"{self.height.size}x{self.width.size} -> {self.height.out}x{self.width.out}"


def plane(node: gs.Node, context: Context) -> Plane | str | None:
    """A Resize or Upsample of H and W that the target refuses, a sentence why it cannot be told, or None."""
    if context.is_native(node):
        return None
    found = read(node, context.opset)
    if not isinstance(found, Sampling):
        return found
    if len(found.axes) != 4:
        return None
    if any(axis.size != axis.out for axis in found.axes[:2]):
        return "it resizes the batch or the channels"
    rows, columns = found.matrix(2), found.matrix(3)
    if rows is None or columns is None:
        return None
    return Plane(found, found.axes[2], found.axes[3], rows, columns)


def nearest_factor(axis: Axis, matrix: Matrix) -> int | None:
    """The whole factor if the axis repeats each element as often (asymmetric, floor), else None."""
    ratio = axis.ratio
    return ratio if ratio and np.array_equal(matrix, nearest_matrix(axis.size, ratio)) else None


def linear_factor(axis: Axis, matrix: Matrix) -> int | None:
    """The whole factor if the axis is linear half_pixel by it (weights to 1e-6), else None."""
    ratio = axis.ratio
    return ratio if ratio and np.allclose(matrix, linear_matrix(axis.size, ratio), rtol=0, atol=1e-6) else None


def read(node: gs.Node, opset: int) -> Sampling | str | None:
    """What a Resize or Upsample does; a sentence why that cannot be told; None where shapes or sizes are not static."""
    x = view.shape(view.input_at(node, 0))
    if x is None:
        return None
    old = node.op == "Upsample" or opset < 11
    given = _scales(node, x, old)
    if given is None:
        return None
    axes = tuple(Axis(size, int(out), float(np.float32(scale))) for size, (out, scale) in zip(x, given, strict=True))
    mode = str(view.attr(node, "mode", "nearest")).replace("bilinear", "linear")
    if old:
        return Sampling(axes, mode, "asymmetric", "simple")
    coordinates = str(view.attr(node, "coordinate_transformation_mode", "half_pixel"))
    if coordinates == _CROP:
        return f"its region of interest is used ({_CROP}), and what lies outside is extrapolated"
    return Sampling(
        axes,
        mode,
        coordinates,
        str(view.attr(node, "nearest_mode", "round_prefer_floor")),
        float(view.attr(node, "cubic_coeff_a", -0.75)),
        bool(view.attr(node, "exclude_outside", 0)),
        bool(view.attr(node, "antialias", 0)),
    )


def _scales(node: gs.Node, x: tuple[int, ...], old: bool) -> list[tuple[int, float]] | None:
    """(size after, scale) per dimension; None where it is not constant."""
    attribute = view.attr(node, "scales")
    values = attribute if attribute is not None else view.constant_value(view.input_at(node, 1 if old else 2))
    sizes = None if old else view.constant_value(view.input_at(node, 3))
    if sizes is None and (values is None or np.size(values) == 0):
        return None
    axes = view.ints(node, "axes", tuple(range(len(x))))
    axes = tuple(view.axis(a, len(x)) for a in axes)
    given = [float(v) for v in np.asarray(sizes if sizes is not None else values).reshape(-1)]
    if len(given) != len(axes):
        return None
    found = [(size, 1.0) for size in x]
    if sizes is None:
        for a, scale in zip(axes, given, strict=True):
            found[a] = (int(np.floor(np.float32(x[a]) * np.float32(scale))), scale)
        return found
    policy = str(view.attr(node, "keep_aspect_ratio_policy", "stretch"))
    if policy != "stretch":
        ratios = [size / x[a] for a, size in zip(axes, given, strict=True)]
        ratio = float(np.float32(min(ratios) if policy == "not_larger" else max(ratios)))
        for a in axes:
            found[a] = (int(np.floor(ratio * x[a] + 0.5)), ratio)
        return found
    for a, size in zip(axes, given, strict=True):
        found[a] = (int(size), size / x[a] if x[a] else 1.0)
    return found
