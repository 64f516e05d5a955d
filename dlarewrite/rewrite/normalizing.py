"""Normalization by a tensor's own statistics, in pools, convolutions and Newton's iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, dtype, shape
from dlarewrite.rewrite import forms, reduction, root


@dataclass(frozen=True)
class Norm:
    """``groups`` of the channels of [N, C, H, W], at each pixel or over the map; a gain and bias for each of C."""

    groups: int
    pixelwise: bool
    epsilon: float
    gain: Array
    bias: Array

    def single(self, dims: tuple[int, ...]) -> bool:
        """Whether it normalizes single values, whose variance is 0."""
        return dims[1] // self.groups * (1 if self.pixelwise else dims[2] * dims[3]) == 1

    @property
    def text(self) -> str:
        return f"{self.gain.size} channels{' of each pixel' * self.pixelwise} in {self.groups} groups"


def emit(edit: Editor, x: gs.Tensor, norm: Norm) -> gs.Tensor:
    """gain (x - mean) / sqrt(variance + epsilon) + bias, of an NCHW tensor."""
    _, channels, height, width = shape(x) or ()
    mean = _mean(edit, x, norm, 1 if norm.pixelwise else channels)
    wide = forms.repeat_channel(edit, mean, channels) if norm.pixelwise else mean
    centred = edit.op("Sub", [x, forms.fill_plane(edit, wide, height, width)])
    negative = _mean(edit, edit.op("Mul", [centred, centred]), norm, norm.groups, -1.0, -norm.epsilon)
    inverse = root.emit_inverse_root(edit, negative, norm.epsilon)
    gain = (math.sqrt(2.0) * norm.gain.astype(np.float64)).reshape(-1, 1, 1, 1)
    attrs = {"kernel_shape": [1, 1], "group": norm.groups}
    factor = edit.op("Conv", [inverse, edit.constant(gain, "gain", dtype(x))], attrs)
    scaled = edit.op("Mul", [centred, forms.fill_plane(edit, factor, height, width)])
    if not norm.bias.any():
        return scaled
    return edit.op("Add", [scaled, edit.constant(norm.bias.reshape(1, -1, 1, 1), "bias", dtype(x))])


def _mean(edit: Editor, x: gs.Tensor, norm: Norm, maps: int, sign: float = 1.0, shift: float = 0.0) -> gs.Tensor:
    """sign * mean + shift over each group of an NCHW tensor, in ``maps`` channels: one a group, or as many as x has."""
    dims = shape(x) or ()
    spatial = reduction.spatial_mean(dims, () if norm.pixelwise else (2, 3))
    inner = dims[1] // norm.groups
    if inner == 1 and sign == 1.0 and not shift:
        return reduction.emit_mean(edit, x, spatial)
    pooled = reduction.emit_mean(edit, x, replace(spatial, scale=1.0))
    kind = dtype(x)
    weight = edit.constant(np.full((maps, inner, 1, 1), sign * spatial.scale / inner), "mean", kind)
    inputs = [pooled, weight] + ([edit.constant(np.full(maps, shift), "epsilon", kind)] if shift else [])
    return edit.op("Conv", inputs, {"kernel_shape": [1, 1], "group": norm.groups})
