"""Normalizations by their own statistics become pools, convolutions and Newton's iteration.

What it does: InstanceNormalization and GroupNormalization (also written as Reshape, InstanceNormalization, Reshape) ->
    x - mean by AveragePools, a grouped 1x1 Conv and a nearest Resize; the variance of that likewise; times 1/sqrt of
    it, which takes two 1x1 Convs and three steps of y <- y (3/2 - v y^2) on a tensor of one value a group.
    LayerNormalization over the channels of each pixel (behind a Transpose of a map, or over [N, C] that was [N, C, 1,
    1]) likewise, its means by 1x1 Convs; what reads it in its own order reads a Transpose or Reshape behind it.
Law: the definition of the operators. The polygon that starts the iteration misses 1/sqrt(v) by 9 % at most, and three
    steps leave 3e-8 of the value, for variances up to 2^32, which FP16's numbers cannot exceed.
Numerics: ROUNDING - means in another order, the root to below a float's own rounding.
Scales: the mean has that of the input; the last tensor that of the old output; all others run in FP16.
Fires: on 4-D floats of static shape in FP16, scale and bias constant, epsilon from 2^-20 on.
Refuses: INT8, as the iteration does not survive 8 bits; a smaller epsilon, whose reciprocal FP16 cannot hold; groups
    of single values; a GroupNormalization that others read between its Reshapes. Tokens are left alone.
Source: ONNX InstanceNormalization, GroupNormalization (opset 18, 21), LayerNormalization; NODLA, RED-AVG, UNARY-NO;
    re-expression R18.
Example: GroupNormalization(x: [1,32,14,14]) -> AveragePool x2, Conv, Resize, Sub, Mul, AveragePool x2, Conv ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Tensor,
    emit,
    normalizing,
    root,
    view,
)

_INWARD, _BACK = (0, 2, 3, 1), (0, 3, 1, 2)
_MOVES = ("Reshape", "Flatten", "Squeeze", "Transpose")


@dataclass(frozen=True)
class Place:
    """The NCHW tensor that is normalized, the NCHW tensors that are the result, and the nodes between.

    ``inner`` is the result in the norm's own order of axes where others read that.
    """

    x: Tensor
    results: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inner: Tensor | None = None


@dataclass(frozen=True)
class Found:
    """A normalization and where it stands."""

    place: Place
    norm: normalizing.Norm


@dataclass(frozen=True)
class NormExplicit(Pass[Found]):
    """InstanceNorm, GroupNorm, LayerNorm -> AveragePool, Conv, Relu, Mul, Add."""

    name: ClassVar[str] = "norm-explicit"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("InstanceNormalization", "GroupNormalization", "LayerNormalization")

    def match(self, node: Node, context: Context) -> Match[Found] | Refusal | None:
        pixelwise = node.op == "LayerNormalization"
        place = _place(node, context)
        if place is None or isinstance(place, Refusal):
            return place
        dims = view.shape(place.x)
        if dims is None or len(dims) != 4 or 0 in dims or not view.is_float(place.x):
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
        wide = [np.repeat(v.reshape(-1), dims[1] // v.size) for v in (gain, bias)]
        norm = normalizing.Norm(groups, pixelwise, epsilon, wide[0], wide[1])
        if norm.single(dims):
            return Refusal("it normalizes single values, whose variance is 0", (node,))
        return Match(place.nodes, Found(place, norm), norm.text)

    def apply(self, match: Match[Found], edit: Editor) -> None:
        place = match.facts.place
        scaled = normalizing.emit(edit, place.x, match.facts.norm)
        inner = place.inner
        for result in place.results:
            edit.replace_uses(result, scaled)
        if inner is not None:
            form = view.shape(inner) or ()
            flat = (view.shape(place.x) or ())[2:] == (1, 1)
            laid = emit.reshape(edit, scaled, form) if flat else emit.transpose(edit, scaled, _INWARD)
            edit.replace_uses(inner, laid)


def _place(node: Node, context: Context) -> Place | Refusal | None:
    """What the norm works on as NCHW; None where it is no norm of a map."""
    if node.op == "LayerNormalization":
        return _over_channels(node, context)
    around = None if node.op == "GroupNormalization" else _between_reshapes(node, context)
    return Place(node.inputs[0], (node.outputs[0],), (node,)) if around is None else around


def _over_channels(node: Node, context: Context) -> Place | None:
    """A LayerNormalization over the last axis of [N, H, W, C] or [N, ..., C] that was [N, C, H, W] or [N, C, 1, 1]."""
    before, inner = view.producer(node.inputs[0]), view.shape(node.inputs[0])
    dims = view.shape(view.input_at(before, 0)) if before is not None else None
    if before is None or inner is None or dims is None or len(dims) != 4 or not view.is_op(before, *_MOVES):
        return None
    if view.axis(int(view.attr(node, "axis", -1)), len(inner)) != len(inner) - 1:
        return None
    flat = dims[2:] == (1, 1) and inner == (dims[0], *(1,) * (len(inner) - 2), dims[1])
    perm = view.ints(before, "perm") if view.is_op(before, "Transpose") else ()
    if not (flat and (not perm or perm[0] == 0)) and perm != _INWARD:
        return None
    readers = view.consumers(node.outputs[0])
    back = [r for r in readers if view.shape(r.outputs[0]) == dims and _returns(r, flat)]
    others = len(back) < len(readers) or context.model.is_pinned(node.outputs[0])
    nodes = (before, node, *back)
    return Place(before.inputs[0], tuple(r.outputs[0] for r in back), nodes, node.outputs[0] if others else None)


def _returns(reader: Node, flat: bool) -> bool:
    if view.is_op(reader, "Transpose"):
        perm = view.ints(reader, "perm")
        return perm == _BACK or (flat and perm[:1] == (0,))
    return flat and view.is_op(reader, "Unsqueeze", *_MOVES)


def _between_reshapes(node: Node, context: Context) -> Place | Refusal | None:
    """The Reshapes between which InstanceNormalization is one of groups of an NCHW tensor's channels, or None."""
    before, inner = view.producer(node.inputs[0]), view.shape(node.inputs[0])
    dims = view.shape(view.input_at(before, 0)) if before is not None else None
    if before is None or inner is None or dims is None or len(dims) != 4 or not view.is_op(before, "Reshape"):
        return None
    if dims[0] != inner[0] or dims[1] % inner[1]:
        return None
    readers = view.consumers(node.outputs[0])
    back = next((r for r in readers if view.is_op(r, "Reshape") and view.shape(r.outputs[0]) == dims), None)
    if back is None:
        return None
    others = [view.label(r) for r in readers if r is not back]
    if others or context.model.is_pinned(node.outputs[0]):
        return Refusal(f"{', '.join(others) or 'the graph output'} reads it before its Reshape", (node, back))
    return Place(before.inputs[0], (back.outputs[0],), (before, node, back))
