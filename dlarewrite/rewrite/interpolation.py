"""How a Resize reads one axis: where, and with which weights.

Coordinates are computed in float32 in the order of operations that onnxruntime uses, so that ties and truncations fall
the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Places = npt.NDArray[np.float32]
"""[out] positions among the input's elements."""


@dataclass(frozen=True)
class Axis:
    """One axis: elements before and after, and the scale that coordinates are divided by."""

    size: int
    out: int
    scale: float

    @property
    def ratio(self) -> int | None:
        """The whole number of outputs per input, or None."""
        return self.out // self.size if self.size and self.out % self.size == 0 else None


def coordinates(kind: str, axis: Axis) -> Places:
    """Where each output element lies among the input's, in float32."""
    at = np.arange(axis.out, dtype=np.float32)
    scale, half = np.float32(axis.scale), np.float32(0.5)
    if kind == "asymmetric":
        return np.asarray(at / scale)
    if kind == "tf_half_pixel_for_nn":
        return np.asarray((at + half) / scale)
    if kind == "align_corners":
        if axis.out == 1:
            return np.zeros_like(at)
        return np.asarray(at * np.float32(axis.size - 1) / np.float32(axis.out - 1))
    if kind == "pytorch_half_pixel" and axis.out == 1:
        return np.zeros_like(at)
    offset = np.float32(0)
    if kind == "half_pixel_symmetric":
        adjustment = np.float32(axis.out) / (scale * np.float32(axis.size))
        offset = np.float32(axis.size) / np.float32(2) * (np.float32(1) - adjustment)
    return np.asarray(offset + (at + half) / scale - half)


def nearest(rounding: str, axis: Axis, where: Places) -> tuple[Any, Any]:
    """[out, 1] columns and weights; ``rounding`` is a ``nearest_mode``, or "simple" as Upsample rounds."""
    if rounding == "simple":
        rounding = "ceil" if axis.scale < 1.0 else "floor"
    if rounding == "floor":
        at = np.floor(where)
    elif rounding == "ceil":
        at = np.ceil(where)
    else:
        whole = np.trunc(where)
        away = whole + np.where(np.abs(where - whole) >= np.float32(0.5), np.sign(where), np.float32(0))
        tie = where == whole + np.float32(0.5)
        at = np.where(tie, np.floor(where), away) if rounding == "round_prefer_floor" else away
    columns = np.clip(at, 0, axis.size - 1).astype(np.int64)
    return columns[:, None], np.ones((axis.out, 1))


def linear(axis: Axis, where: Places) -> tuple[Any, Any]:
    """[out, 2] columns and weights."""
    inside = np.clip(where, np.float32(0), np.float32(axis.size - 1))
    low = np.minimum(inside.astype(np.int64), axis.size - 1)
    high = np.minimum(low + 1, axis.size - 1)
    to_low, to_high = np.abs(inside - low), np.abs(inside - high)
    to_low, to_high = np.where(low == high, 0.5, to_low), np.where(low == high, 0.5, to_high)
    return np.stack([low, high], axis=1), np.stack([to_high, to_low], axis=1)


def cubic(coefficient: float, axis: Axis, where: Places, *, exclude_outside: bool) -> tuple[Any, Any]:
    """[out, 4] columns and weights; what lies outside is read at the edge, or left out."""
    a = np.float32(coefficient)
    base = np.floor(where)
    t = (where - base).astype(np.float32)
    weights = np.stack(
        [
            ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a,
            ((a + 2) * t - (a + 3)) * t * t + 1,
            ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1,
            ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a,
        ],
        axis=1,
    )
    columns = base.astype(np.int64)[:, None] + np.arange(-1, 3)
    if exclude_outside:
        weights = np.where((columns < 0) | (columns >= axis.size), np.float32(0), weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(columns, 0, axis.size - 1), weights


def antialiased(kind: str, axis: Axis, coefficient: float | None, *, exclude_outside: bool) -> Matrix:
    """[out, size] weights of shrinking with the filter stretched by 1 / scale.

    What hangs over an edge is read there, or left out. ``coefficient`` is that of a cubic filter, None for a
    linear one.
    """
    reach = (1.0 if coefficient is None else 2.0) / axis.scale
    found = np.zeros((axis.out, axis.size), dtype=np.float64)
    for row, where in enumerate(coordinates(kind, axis).astype(np.float64)):
        center = where + 0.5
        columns = np.arange(int(np.floor(center - reach + 0.5)), int(np.floor(center + reach + 0.5)))
        weights = _filter(coefficient, np.abs((columns - center + 0.5) * axis.scale))
        if exclude_outside:
            weights = np.where((columns < 0) | (columns >= axis.size), 0.0, weights)
        total = weights.sum()
        np.add.at(found[row], np.clip(columns, 0, axis.size - 1), weights / (total if total else 1.0))
    return found.astype(np.float32)


def _filter(a: float | None, t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if a is None:
        return np.maximum(0.0, 1.0 - t)
    inner = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    outer = (((t - 5.0) * t + 8.0) * t - 4.0) * a
    return np.where(t < 1.0, inner, np.where(t < 2.0, outer, 0.0))
