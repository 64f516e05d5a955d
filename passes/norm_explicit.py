"""Normalizations by their own statistics become pools, convolutions and Newton's iteration.

What it does: InstanceNormalization and GroupNormalization (also written as Reshape, InstanceNormalization, Reshape) ->
    x - mean by AveragePools, a grouped 1x1 Conv and a nearest Resize; the variance of that likewise; times 1/sqrt of
    it, which takes two 1x1 Convs and three steps of y <- y (3/2 - v y^2) on a tensor of one value a group.
Law: the definition of the operators. The polygon that starts the iteration misses 1/sqrt(v) by 9 % at most, and three
    steps leave 3e-8 of the value, for variances up to 2^32, which FP16's numbers cannot exceed.
Numerics: ROUNDING - means in another order, the root to below a float's own rounding.
Scales: the mean has that of the input; the last tensor that of the old output; all others run in FP16.
Fires: on 4-D floats of static shape in FP16, scale and bias constant, epsilon from 2^-20 on.
Refuses: INT8, as the iteration does not survive 8 bits; a smaller epsilon, whose reciprocal FP16 cannot hold; a
    normalization that others read between its Reshapes.
Source: ONNX InstanceNormalization, GroupNormalization (opset 18, 21); NODLA, RED-AVG, UNARY-NO; re-expression R18.
Example: GroupNormalization(x: [1,32,14,14]) -> AveragePool x2, Conv, Resize, Sub, Mul, AveragePool x2, Conv ...
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, forms, reduction, root, view


@dataclass(frozen=True)
class Norm:
    """What is normalized: ``groups`` of the channels of ``x``; gain and bias are of one value a channel."""

    x: Tensor
    result: Tensor
    groups: int
    epsilon: float
    gain: view.Array
    bias: view.Array


@dataclass(frozen=True)
class NormExplicit(Pass[Norm]):
    """InstanceNorm, GroupNorm -> AveragePool, Conv, Relu, Mul, Add."""

    name: ClassVar[str] = "norm-explicit"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("InstanceNormalization", "GroupNormalization")

    def match(self, node: Node, context: Context) -> Match[Norm] | Refusal | None:
        gain, bias = (view.constant_value(view.input_at(node, i)) for i in (1, 2))
        if gain is None or bias is None:
            return Refusal("its scale or bias is not constant", (node,))
        nodes: tuple[Node, ...] = (node,)
        x, result = node.inputs[0], node.outputs[0]
        groups = int(view.attr(node, "num_groups", gain.size))
        around = _reshapes(node, context) if node.op == "InstanceNormalization" else None
        if isinstance(around, Refusal):
            return around
        if around is not None:
            nodes, x, result = (around[0], node, around[1]), around[0].inputs[0], around[1].outputs[0]
        dims = view.shape(x)
        if dims is None or len(dims) != 4 or 0 in dims or not view.is_float(x) or dims[1] % groups:
            return None
        if context.target.precision.value == "int8":
            return Refusal("its variance and the root of it do not survive 8 bits", (node,))
        epsilon = float(view.attr(node, "epsilon", 1e-5))
        if epsilon < root.SMALLEST:
            return Refusal(f"its epsilon of {epsilon:g} is below 2^-20, the least whose reciprocal FP16 holds", (node,))
        wide = [np.repeat(v.reshape(-1), dims[1] // v.size) for v in (gain, bias)]
        found = Norm(x, result, groups, epsilon, wide[0], wide[1])
        return Match(nodes, found, f"{dims[1]} channels in {groups} groups")

    def apply(self, match: Match[Norm], edit: Editor) -> None:
        norm = match.facts
        _, channels, height, width = view.shape(norm.x) or ()
        mean = _mean(edit, norm.x, norm, channels)
        centred = edit.op("Sub", [norm.x, forms.fill_plane(edit, mean, height, width)])
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
    """sign * mean + shift over each group of an NCHW tensor, [N, maps, 1, 1]: one value a group, or a channel."""
    dims = view.shape(x) or ()
    spatial = reduction.spatial_mean(dims, (2, 3))
    inner = dims[1] // norm.groups
    if inner == 1 and sign == 1.0 and not shift:
        return reduction.emit_mean(edit, x, spatial)
    pooled = reduction.emit_mean(edit, x, replace(spatial, scale=1.0))
    kind = view.dtype(x)
    weight = edit.constant(np.full((maps, inner, 1, 1), sign * spatial.scale / inner), "mean", kind)
    inputs = [pooled, weight] + ([edit.constant(np.full(maps, shift), "epsilon", kind)] if shift else [])
    return edit.op("Conv", inputs, {"kernel_shape": [1, 1], "group": norm.groups})


def _reshapes(node: Node, context: Context) -> tuple[Node, Node] | Refusal | None:
    """The Reshapes around an InstanceNormalization that make it one of groups of channels; None without them."""
    before, flat = view.producer(node.inputs[0]), view.shape(node.inputs[0])
    if before is None or flat is None or not view.is_op(before, "Reshape"):
        return None
    dims = view.shape(before.inputs[0])
    if dims is None or len(dims) != 4 or dims[0] != flat[0] or dims[1] % flat[1]:
        return None
    readers = view.consumers(node.outputs[0])
    back = next((r for r in readers if view.is_op(r, "Reshape") and view.shape(r.outputs[0]) == dims), None)
    if back is None:
        return None
    others = [view.label(r) for r in readers if r is not back]
    if others or context.model.is_pinned(node.outputs[0]):
        return Refusal(f"{', '.join(others) or 'the graph output'} reads it before its Reshape", (node, back))
    return before, back
