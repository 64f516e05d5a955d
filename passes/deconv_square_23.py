"""ConvTranspose with a square kernel or stride of 23 to 32 becomes one that is not square, or two.

What it does: one of three forms. Widen: where only the kernel is square, a column of zeros is added to it and one
    more column is cropped. Factors: where kernel = stride = s1 s2, a ConvTranspose k = s = s1 to (map, row, column)
    channels and a one-hot one with k = s = s2. Lines: a ConvTranspose kh x 1 whose output channels are (map, kernel
    column), and a one-hot 1 x kw one that adds them up. Pads become a crop on the way.
Law: o = s1 s2 i + s2 a + b reaches every position of a block once; in the lines form each column of the kernel is
    added at its own place. Cost: widen adds 1 / k of the MACs, the others a one-hot stage whose MACs grow with the
    square of the output channels; the cheapest legal one is taken.
Numerics: ROUNDING - where windows overlap, the lines form adds in another order; the other forms are exact.
Scales: the tensor between two stages inherits the scale of the node's output.
Fires: on a ConvTranspose of two spatial axes, group 1, dilation 1, whose kernel or stride is square and in 23 ... 32.
Refuses: what the target refuses in all three forms (kernels over 32, more than 8192 channels between the stages).
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-SQ23, DECONV-KERNEL, DECONV-CH.
Example: ConvTranspose(x, w[8,4,24,24]; strides 24) -> ConvTranspose(ConvTranspose(x, w'[8,16,12,12]), e[16,4,2,2])
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, deconv, spatial

_SWITCHED_OFF = range(23, 33)


@dataclass(frozen=True)
class Stages:
    """One or two ConvTransposes (weights and strides), the bias of the last, and the crop."""

    stages: tuple[tuple[spatial.Values, spatial.Pair], ...]
    bias: Tensor | None
    begin: spatial.Pair
    end: spatial.Pair
    crop: str
    macs: int
    form: str


@dataclass(frozen=True)
class DeconvSquare23(Pass[Stages]):
    """ConvTranspose with a square kernel or stride of 23 to 32 -> a widened one, or two stages."""

    name: ClassVar[str] = "deconv-square-23"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[Stages] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str) or found.group > 1 or found.dilations != (1, 1):
            return None
        plain = found.widened()
        if not (_square(plain.kernel) or _square(plain.strides)):
            return None
        x = node.inputs[0]
        options = [s for s in _options(x, plain) if _legal(context, x, s)]
        cropped = [(s, _crop(context, x, s)) for s in options]
        legal = [replace(s, crop=form) for s, form in cropped if form is not None]
        if not legal:
            size = f"{plain.kernel[0]} x {plain.kernel[1]} kernel, stride {plain.strides[0]} x {plain.strides[1]}"
            return Refusal(f"no two stages are legal for a {size}", (node,))
        best = min(legal, key=lambda s: (s.macs, len(s.stages)))
        return Match((node,), best, best.form)

    def apply(self, match: Match[Stages], edit: Editor) -> None:
        node, facts = match.nodes[0], match.facts
        x = node.inputs[0]
        for weights, strides in facts.stages[:-1]:
            x = deconv.transpose_conv(edit, x, weights, strides)
        weights, strides = facts.stages[-1]
        x = deconv.transpose_conv(edit, x, weights, strides, facts.bias)
        edit.replace_uses(node.outputs[0], spatial.crop(edit, x, facts.begin, facts.end, facts.crop))


def _square(pair: spatial.Pair) -> bool:
    return pair[0] == pair[1] and pair[0] in _SWITCHED_OFF


def _options(x: Tensor, plain: deconv.Deconv) -> list[Stages]:
    """All forms, legal or not."""
    weights, (kh, kw), (sh, sw) = plain.weights, plain.kernel, plain.strides
    inputs, maps = weights.shape[:2]
    wide = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, 1)))
    rows = weights.transpose(0, 1, 3, 2).reshape(inputs, maps * kw, kh, 1)
    found = [
        (((wide, plain.strides),), (plain.end[0], plain.end[1] + 1), "kernel widened by a column of zeros"),
        (((rows, (sh, 1)), (deconv.blocks(maps, (1, kw)), (1, sw))), plain.end, "columns, then rows"),
    ]
    if plain.kernel == plain.strides and kh == kw:
        for inner in (f for f in range(2, kh) if kh % f == 0):
            outer = kh // inner
            split = weights.reshape(inputs, maps, outer, inner, outer, inner).transpose(0, 1, 3, 5, 2, 4)
            first = np.ascontiguousarray(split).reshape(inputs, maps * inner * inner, outer, outer)
            stages = ((first, (outer, outer)), (deconv.blocks(maps, (inner, inner)), (inner, inner)))
            found.append((stages, plain.end, f"{kh} = {outer} x {inner}"))
    return [Stages(s, plain.bias, plain.begin, end, "", _macs(x, s), form) for s, end, form in found]


def _macs(x: Tensor, stages: tuple[tuple[spatial.Values, spatial.Pair], ...]) -> int:
    return sum(
        math.prod(shape) * math.prod(w.shape[1:]) for shape, (w, _) in zip(_shapes(x, stages)[:-1], stages, strict=True)
    )


def _shapes(x: Tensor, stages: tuple[tuple[spatial.Values, spatial.Pair], ...]) -> list[tuple[int, ...]]:
    """The shape before each stage, and after the last."""
    shapes = [tuple(int(d) for d in x.shape)]
    for weights, strides in stages:
        batch, _, height, width = shapes[-1]
        size = deconv.Deconv(weights, None, strides).full((height, width))
        shapes.append((batch, weights.shape[1], *size))
    return shapes


def _legal(context: Context, x: Tensor, option: Stages) -> bool:
    return all(
        deconv.takes(context, spatial.like(x, shape), w.shape[1], (w.shape[2], w.shape[3]), strides)
        for shape, (w, strides) in zip(_shapes(x, option.stages)[:-1], option.stages, strict=True)
    )


def _crop(context: Context, x: Tensor, option: Stages) -> str | None:
    return spatial.crop_form(context, spatial.like(x, _shapes(x, option.stages)[-1]), option.begin, option.end)
