"""ConvTranspose whose kernel is not its stride becomes a Conv and a ConvTranspose whose kernel is.

What it does: sub-pixel form. Each of the sh x sw phases of the output is a convolution of x with every stride-th
    element of the kernel: one Conv computes (map, row phase, column phase) channels, and a one-hot ConvTranspose with
    kernel = stride lays them out. Groups, dilation and output_padding are taken along; pads are built into the
    phases, or cropped afterwards, whichever has fewer MACs.
Law: with o + p = s m + a, y[o] = sum_t x[m - t] w[a + s t]: phase b = o mod s reads x at (b + p) div s - t with the
    weights w[(b + p) mod s + s t]. MACs for each input position: Conv about k^2 Cin Cout, layout s^4 Cout^2; the
    one-hot stage is what makes the budget of added MACs matter here.
Numerics: ROUNDING - the products are summed in another order.
Scales: the tensor between Conv and ConvTranspose, and an uncropped output, inherit the scale of the node's output.
Fires: on a ConvTranspose of two spatial axes that the target refuses without pads, groups and dilation for its kernel
    alone, while it takes kernel = stride (TensorRT up to 8.2).
Refuses: strides of 1 (deconv-stride-one); a Conv or a layout stage that the target refuses.
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-K=S, CONV-KERNEL, CONV-PAD.
Example: ConvTranspose(x, w[8,4,4,4]; strides 2, pads 1) -> ConvTranspose(Conv(x, w'[16,8,3,3]; pads 1), e[16,4,2,2]; 2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, deconv, spatial, view


@dataclass(frozen=True)
class Phases:
    """The Conv that computes all phases, the stride that lays them out, and the crop of the result."""

    conv: deconv.Turned
    maps: int
    strides: spatial.Pair
    bias: Tensor | None
    begin: spatial.Pair
    end: spatial.Pair
    crop: str


@dataclass(frozen=True)
class DeconvOverlap(Pass[Phases]):
    """ConvTranspose with kernel other than stride -> Conv of all phases, ConvTranspose with kernel = stride."""

    name: ClassVar[str] = "deconv-overlap"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[Phases] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str) or found.strides == (1, 1):
            return None
        x, plain = node.inputs[0], found.undilated()
        out, strides = view.shape(node.outputs[0]), plain.strides
        kernel = plain.widened().kernel
        if out is None or len(out) != 4 or kernel == strides or deconv.takes(context, x, found.maps, kernel, strides):
            return None
        if not deconv.takes(context, x, found.maps, strides, strides):
            return None
        options = []
        for inside in (True, False):
            made = _phases(context, x, plain.widened() if not inside else plain, (out[2], out[3]), inside)
            if made is not None:
                options.append(made)
        if not options:
            return Refusal("neither form of its phases is a Conv that the target takes", (node,))
        best = min(options, key=lambda o: math.prod(o.conv.weights.shape))
        return Match((node,), best, f"{math.prod(best.strides)} phases")

    def apply(self, match: Match[Phases], edit: Editor) -> None:
        node, facts = match.nodes[0], match.facts
        phases = deconv.turned_conv(edit, node.inputs[0], facts.conv, None)
        full = deconv.transpose_conv(edit, phases, deconv.blocks(facts.maps, facts.strides), facts.strides, facts.bias)
        edit.replace_uses(node.outputs[0], spatial.crop(edit, full, facts.begin, facts.end, facts.crop))


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
    if not deconv.takes_turned(context, x, conv, (1, 1)):
        return None
    full = [-(-n // s) * s for n, s in zip(need, plain.strides, strict=True)]
    end = (full[0] - need[0], full[1] - need[1])
    shape = (int(x.shape[0]), plain.maps, full[0], full[1])
    crop = spatial.crop_form(context, spatial.like(x, shape), begin, end)
    phases = spatial.like(x, (shape[0], weights.shape[0], *(n // s for n, s in zip(full, plain.strides, strict=True))))
    if crop is None or not deconv.takes(context, phases, plain.maps, plain.strides, plain.strides):
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
