"""Normalizations by their own statistics become pools, convolutions and Newton's iteration.

What it does: InstanceNormalization and GroupNormalization (also written as Reshape, InstanceNormalization, Reshape) ->
    x - mean by AveragePools, a grouped 1x1 Conv and a nearest Resize; the variance of that likewise; times 1/sqrt of
    it, which takes two 1x1 Convs and three steps of y <- y (3/2 - v y^2) on a tensor of one value a group.
    LayerNormalization over the channels of each pixel (between two Transposes) likewise, its means by 1x1 Convs.
Law: the definition of the operators. The polygon that starts the iteration misses 1/sqrt(v) by 9 % at most, and three
    steps leave 3e-8 of the value, for variances up to 2^32, which FP16's numbers cannot exceed.
Numerics: ROUNDING - means in another order, the root to below a float's own rounding.
Scales: the mean has that of the input; the last tensor that of the old output; all others run in FP16.
Fires: on 4-D floats of static shape in FP16, scale and bias constant, epsilon from 2^-20 on.
Refuses: INT8, as the iteration does not survive 8 bits; a smaller epsilon, whose reciprocal FP16 cannot hold; groups
    of single values; a normalization that others read between its Reshapes or Transposes.
Source: ONNX InstanceNormalization, GroupNormalization (opset 18, 21), LayerNormalization; NODLA, RED-AVG, UNARY-NO;
    re-expression R18.
Example: GroupNormalization(x: [1,32,14,14]) -> AveragePool x2, Conv, Resize, Sub, Mul, AveragePool x2, Conv ...
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, reduction, root, view

_INWARD, _BACK = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class Norm:
    """What is normalized: ``groups`` of the channels of ``x``, at each pixel or over the map; a gain and bias each."""

    x: Tensor
    result: Tensor
    groups: int
    pixelwise: bool
    epsilon: float
    gain: view.Array
    bias: view.Array


@dataclass(frozen=True)
class NormExplicit(Pass[Norm]):
    """InstanceNorm, GroupNorm, LayerNorm -> AveragePool, Conv, Relu, Mul, Add."""

    name: ClassVar[str] = "norm-explicit"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("InstanceNormalization", "GroupNormalization", "LayerNormalization")

    def match(self, node: Node, context: Context) -> Match[Norm] | Refusal | None:
        pixelwise = node.op == "LayerNormalization"
        nodes: tuple[Node, ...] = (node,)
        x, result = node.inputs[0], node.outputs[0]
        around = None if node.op == "GroupNormalization" else _around(node, context)
        if isinstance(around, Refusal):
            return around
        if around is not None:
            nodes, x, result = (around[0], node, around[1]), around[0].inputs[0], around[1].outputs[0]
        dims = view.shape(x)
        if dims is None or len(dims) != 4 or 0 in dims or not view.is_float(x) or (pixelwise and around is None):
            return None
        if any(t.name and (t.outputs or context.model.is_pinned(t)) for t in node.outputs[1:]):
            return Refusal("its mean or deviation is read as well", (node,))
        gain, bias = view.constant_value(view.input_at(node, 1)), view.constant_value(view.input_at(node, 2))
        if gain is None or (bias is None and view.input_at(node, 2) is not None):
            return Refusal("its scale or bias is not constant", (node,))
        if context.target.precision.value == "int8":
            return Refusal("its variance and the root of it do not survive 8 bits", (node,))
        epsilon = float(view.attr(node, "epsilon", 1e-5))
        if epsilon < root.SMALLEST:
            return Refusal(f"its epsilon of {epsilon:g} is below 2^-20, the least whose reciprocal FP16 holds", (node,))
        groups = 1 if pixelwise else int(view.attr(node, "num_groups", gain.size))
        bias = np.zeros_like(gain) if bias is None else bias
        if any(dims[1] % n for n in (groups, gain.size, bias.size)) or (pixelwise and gain.size != dims[1]):
            return None
        if dims[1] // groups * (1 if pixelwise else dims[2] * dims[3]) == 1:
            return Refusal("it normalizes single values, whose variance is 0", (node,))
        wide = [np.repeat(v.reshape(-1), dims[1] // v.size) for v in (gain, bias)]
        found = Norm(x, result, groups, pixelwise, epsilon, wide[0], wide[1])
        return Match(nodes, found, f"{dims[1]} channels{' of each pixel' * pixelwise} in {groups} groups")

    def apply(self, match: Match[Norm], edit: Editor) -> None:
        norm = match.facts
        _, channels, height, width = view.shape(norm.x) or ()
        mean = _mean(edit, norm.x, norm, 1 if norm.pixelwise else channels)
        wide = forms.repeat_channel(edit, mean, channels) if norm.pixelwise else mean
        centred = edit.op("Sub", [norm.x, forms.fill_plane(edit, wide, height, width)])
        negative = _mean(edit, edit.op("Mul", [centred, centred]), norm, norm.groups, -1.0, -norm.epsilon)
        inverse = root.emit_inverse_root(edit, negative, norm.epsilon)
        gain = (math.sqrt(2.0) * norm.gain.astype(np.float64)).reshape(-1, 1, 1, 1)
        attrs = {"kernel_shape": [1, 1], "group": norm.groups}
        factor = edit.op("Conv", [inverse, edit.constant(gain, "gain", view.dtype(norm.x))], attrs)
        scaled = edit.op("Mul", [centred, forms.fill_plane(edit, factor, height, width)])
        if norm.bias.any():
            bias = edit.constant(norm.bias.reshape(1, -1, 1, 1), "bias", view.dtype(norm.x))
            scaled = edit.op("Add", [scaled, bias])
        edit.replace_uses(norm.result, scaled)


def _mean(edit: Editor, x: Tensor, norm: Norm, maps: int, sign: float = 1.0, shift: float = 0.0) -> Tensor:
    """sign * mean + shift over each group of an NCHW tensor, in ``maps`` channels: one a group, or as many as x has."""
    dims = view.shape(x) or ()
    spatial = reduction.spatial_mean(dims, () if norm.pixelwise else (2, 3))
    inner = dims[1] // norm.groups
    if inner == 1 and sign == 1.0 and not shift:
        return reduction.emit_mean(edit, x, spatial)
    pooled = reduction.emit_mean(edit, x, replace(spatial, scale=1.0))
    kind = view.dtype(x)
    weight = edit.constant(np.full((maps, inner, 1, 1), sign * spatial.scale / inner), "mean", kind)
    inputs = [pooled, weight] + ([edit.constant(np.full(maps, shift), "epsilon", kind)] if shift else [])
    return edit.op("Conv", inputs, {"kernel_shape": [1, 1], "group": norm.groups})


def _around(node: Node, context: Context) -> tuple[Node, Node] | Refusal | None:
    """The Reshapes or Transposes between which the norm is one of an NCHW tensor's channels; None without them."""
    before, inner = view.producer(node.inputs[0]), view.shape(node.inputs[0])
    dims = view.shape(before.inputs[0]) if before is not None and before.inputs else None
    if before is None or inner is None or dims is None or len(dims) != 4:
        return None
    if node.op == "LayerNormalization":
        op = "Transpose"
        last = view.axis(int(view.attr(node, "axis", -1)), len(inner)) == 3
        fits = view.is_op(before, op) and view.ints(before, "perm") == _INWARD and last
    else:
        op = "Reshape"
        fits = view.is_op(before, op) and dims[0] == inner[0] and dims[1] % inner[1] == 0
    if not fits:
        return None
    readers = view.consumers(node.outputs[0])
    back = next((r for r in readers if view.is_op(r, op) and view.shape(r.outputs[0]) == dims), None)
    if back is None or (op == "Transpose" and view.ints(back, "perm") != _BACK):
        return None
    others = [view.label(r) for r in readers if r is not back]
    if others or context.model.is_pinned(node.outputs[0]):
        return Refusal(f"{', '.join(others) or 'the graph output'} reads it before its {op}", (node, back))
    return before, back
