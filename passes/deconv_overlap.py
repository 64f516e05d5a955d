"""ConvTranspose whose kernel is not its stride becomes a Conv and a ConvTranspose whose kernel is.

What it does: the cheaper of two forms that the target takes. Phases: one Conv computes (map, row phase, column phase)
    channels, and a one-hot ConvTranspose with kernel = stride lays them out. Taps: a depthwise one-hot Conv writes what
    all phases see into channels, and a ConvTranspose with kernel = stride holds the products (group 1). Groups,
    dilation and output_padding are taken along; pads are built in, or cropped afterwards, whichever costs less.
    An axis of one element gets the kernel's size for its stride instead.
Law: with o + p = s m + a, y[o] = sum_t x[m - t] w[a + s t]: phase b = o mod s reads x at (b + p) div s - t with the
    weights w[(b + p) mod s + s t]. MACs for each input position, with k a multiple of s and T = (k / s)^2: phases
    k^2 Cin Cout and s^4 Cout^2, taps k^2 Cin Cout and T^2 Cin. One element is stepped over by no stride.
Numerics: ROUNDING - the products are summed in another order.
Scales: an uncropped output and the tensor between Conv and ConvTranspose inherit the scale of the node's output; taps
    inherit that of x.
Fires: on a ConvTranspose of two spatial axes that the target refuses without pads, groups and dilation for its kernel
    alone, while it takes kernel = stride (TensorRT up to 8.2).
Refuses: strides of 1 over more than one element (deconv-stride-one); a Conv or a layout stage that the target refuses.
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-K=S, CONV-KERNEL, CONV-PAD.
Example: ConvTranspose(x[1,8,5,6], w[8,4,4,4]; strides 2, pads 1) ->
    crop(ConvTranspose(Conv(x, one-hot[32,1,2,2]; group 8, pads 1), w'[32,4,2,2]; strides 2))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
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
    choice,
    deconv,
    gathering,
    spatial,
    view,
)


@dataclass(frozen=True)
class Phases:
    """The Conv that computes all phases, the stride that lays them out, and the crop of the result.

    With ``taps`` the Conv's products are the ConvTranspose's.
    """

    conv: deconv.Turned
    maps: int
    strides: spatial.Pair
    bias: Tensor | None
    begin: spatial.Pair
    end: spatial.Pair
    crop: str
    taps: gathering.Taps | None = None

    @property
    def name(self) -> str:
        return f"{math.prod(self.strides)} phases" if self.taps is None else f"{self.taps.per} taps"


@dataclass(frozen=True)
class DeconvOverlap(Pass[Phases | deconv.Plan]):
    """ConvTranspose with kernel other than stride -> Conv of all phases, ConvTranspose with kernel = stride."""

    name: ClassVar[str] = "deconv-overlap"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[Phases | deconv.Plan] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str) or context.is_native(node):
            return None
        x, plain = node.inputs[0], found.undilated()
        alone = _alone(context, node, plain.widened())
        if alone is not None:
            return Match((node,), alone, "one element has no stride")
        if found.strides == (1, 1):
            return None
        out, strides = view.shape(node.outputs[0]), plain.strides
        kernel = plain.widened().kernel
        if out is None or len(out) != 4 or kernel == strides or deconv.takes(context, x, found.maps, kernel, strides):
            return None
        if not deconv.takes(context, x, found.maps, strides, strides):
            return None
        options = []
        for inside in (True, False):
            options += _forms(context, x, plain if inside else plain.widened(), (out[2], out[3]), inside)
        candidates = []
        for facts in options:
            cost = choice.measure(context, partial(_emit, x=x, facts=facts))
            if cost is not None and not cost.refused:
                candidates.append(choice.Candidate(facts, facts.name, cost))
        if not candidates:
            return Refusal("no form of its phases is a Conv that the target takes", (node,))
        best = choice.choose(context, candidates, (node,))
        return Match((node,), best.form, best.sentence or best.name)

    def apply(self, match: Match[Phases | deconv.Plan], edit: Editor) -> None:
        node, facts = match.nodes[0], match.facts
        x = node.inputs[0]
        made = deconv.emit_plan(edit, x, facts) if isinstance(facts, deconv.Plan) else _emit(edit, x, facts)
        edit.replace_uses(node.outputs[0], made)


def _alone(context: Context, node: Node, wide: deconv.Deconv) -> deconv.Plan | None:
    """The plan with the kernel's size for the stride of each axis of one element; None where that changes nothing."""
    dims = view.shape(node.inputs[0])
    if dims is None or len(dims) != 4 or wide.group > 1:
        return None
    rows, columns = (k if n == 1 else s for n, k, s in zip(dims[2:], wide.kernel, wide.strides, strict=True))
    if (rows, columns) == wide.strides or deconv.takes(context, node.inputs[0], wide.maps, wide.kernel, wide.strides):
        return None
    plan = deconv.plan(context, node.inputs[0], replace(wide, strides=(rows, columns)), (node,))
    return None if isinstance(plan, str) else plan


def _emit(edit: Editor, x: Tensor, facts: Phases) -> Tensor:
    if facts.taps is None:
        seen, weights = deconv.turned_conv(edit, x, facts.conv, None), deconv.blocks(facts.maps, facts.strides)
    else:
        seen, places = gathering.gather(edit, x, facts.taps), np.arange(len(facts.conv.weights))
        weights = gathering.products(facts.conv.weights, places, facts.strides)
    full = deconv.transpose_conv(edit, seen, weights, facts.strides, facts.bias)
    return spatial.crop(edit, full, facts.begin, facts.end, facts.crop)


def _forms(context: Context, x: Tensor, plain: deconv.Deconv, out: spatial.Pair, inside: bool) -> list[Phases]:
    """The phases with pads built in, or for the uncropped output with a crop behind; by a Conv, and by taps."""
    made = _phases(context, x, plain, out, inside)
    if made is None:
        return []
    found, dims = [], view.shape(x) or ()
    maps, _, *kernel = made.conv.weights.shape
    taps = gathering.Taps((kernel[0], kernel[1]), begin=made.conv.begin, end=made.conv.end)
    shape = taps.out(dims)
    if deconv.takes_turned(context, x, made.conv, (1, 1)) and _lays_out(context, x, (shape[0], maps, *shape[2:]), made):
        found.append(made)
    if plain.group == 1 and gathering.takes(context, x, taps) and _lays_out(context, x, shape, made):
        found.append(replace(made, taps=taps))
    return found


def _lays_out(context: Context, x: Tensor, shape: tuple[int, ...], made: Phases) -> bool:
    return deconv.takes(context, spatial.like(x, shape), made.maps, made.strides, made.strides)


def _phases(context: Context, x: Tensor, plain: deconv.Deconv, out: spatial.Pair, inside: bool) -> Phases | None:
    """The phases with pads built in, or for the uncropped output with a crop behind."""
    begin = (0, 0) if inside else plain.begin
    need = [n + b for n, b in zip(out, begin, strict=True)]
    axes = [
        _taps(plain.kernel[i], plain.strides[i], plain.begin[i] if inside else 0, int(x.shape[i + 2]), need[i])
        for i in (0, 1)
    ]
    (rows, top, bottom), (columns, left, right) = axes
    group, inputs = plain.group, plain.weights.shape[0] // plain.group
    kernel = plain.weights.reshape(group, inputs, -1, *plain.kernel).transpose(0, 2, 1, 3, 4)
    picked = _pick(_pick(kernel, rows, 3), columns, 5)
    # axes: group, map, input, row phase, row tap, column phase, column tap
    weights = picked.transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, inputs, rows.shape[1], columns.shape[1])
    conv = deconv.Turned(np.ascontiguousarray(weights), (top, left), (bottom, right), group)
    full = [-(-n // s) * s for n, s in zip(need, plain.strides, strict=True)]
    end = (full[0] - need[0], full[1] - need[1])
    shape = (int(x.shape[0]), plain.maps, full[0], full[1])
    crop = spatial.crop_form(context, spatial.like(x, shape), begin, end)
    if crop is None:
        return None
    return Phases(conv, plain.maps, plain.strides, plain.bias, begin, end, crop)


def _taps(kernel: int, stride: int, pad: int, size: int, out: int) -> tuple[spatial.Values, int, int]:
    """[phase, tap] kernel indices (-1: zero) for every phase, and the Conv's pads before and after."""
    steps = -(-out // stride)
    places = {}
    for phase in range(stride):
        first, at = divmod(phase + pad, stride)
        for t in range(-(-(kernel - at) // stride) if kernel > at else 0):
            places[phase, first - t] = at + stride * t
    low = min([0, *(offset for _, offset in places)])
    high = max([0, size - steps, *(offset for _, offset in places)])
    found = np.full((stride, high - low + 1), -1)
    for (phase, offset), index in places.items():
        found[phase, offset - low] = index
    return found, -low, steps - 1 + high - (size - 1)


def _pick(weights: spatial.Values, taps: spatial.Values, axis: int) -> spatial.Values:
    """``weights`` with its kernel axis replaced by [phase, tap]; taps of -1 are zero."""
    padded = np.concatenate([weights, np.zeros_like(weights.take([0], axis=axis))], axis=axis)
    return padded.take(taps, axis=axis)
