"""Convolutions with strides beyond 8 work on blocks of pixels laid out as channels.

What it does: with stride s = f * t, a one-hot Conv with kernel and stride f lays f x f blocks out as channels; the Conv
    then has stride t, a kernel of ceil(k / f) blocks, and its weights laid out the same way (zeros fill the last block
    up).
Law: a stride that is a multiple of f reads whole blocks of f x f pixels; which pixel of a block is then a channel.
Numerics: ROUNDING - the same products, summed in another order.
Scales: the laid-out tensor inherits the scale of the input.
Fires: on a two-dimensional Conv with constant weights, group 1, dilation 1 and a stride above 8 that has a factor f of
    2 to 8 on each axis for which s / f is at most 8; pads are made before where they are not multiples of f.
Refuses: strides without such a factor (11, 13, ...), groups, dilations.
Source: CONV-STRIDE, CONV-KERNEL; the identity behind space-to-depth stems.
Example: Conv 16x16, stride 16, 3 channels -> Conv 2x2, stride 2 to 12 channels, Conv 8x8, stride 8
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, convolve, view


@dataclass(frozen=True)
class Plan:
    """Factors along H and W; zeros around the input (top, bottom, left, right), negative where it is cut."""

    conv: convolve.Convolution
    factors: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True)
class ConvStride(Pass[Plan]):
    """Stride > 8 -> blocks as channels, Conv with a smaller stride."""

    name: ClassVar[str] = "conv-stride"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        window = view.window(node)
        if window is None or len(window.kernel) != 2 or max(window.strides) <= convolve.LARGEST_STRIDE:
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        if window.group != 1 or window.dilations != (1, 1):
            return Refusal(f"group {window.group} and dilations {list(window.dilations)} must be 1", (node,))
        tall, wide = (_factor(s, k) for s, k in zip(window.strides, window.kernel, strict=True))
        if tall is None or wide is None:
            return Refusal(f"strides {list(window.strides)} have no factor of 2 to 8 that leaves at most 8", (node,))
        pads = (*_pads(conv, 0, tall), *_pads(conv, 1, wide))
        size = f"{window.strides[0]}x{window.strides[1]}"
        return Match((node,), Plan(conv, (tall, wide), pads), f"stride {size} as {tall}x{wide} blocks")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        plan = match.facts
        conv, (f, g) = plan.conv, plan.factors
        blocks = _laid_out(edit, convolve.shifted(edit, conv.x, plan.pads), f, g)
        count, channels, rows, columns = conv.form
        padded = np.zeros((count, channels, -(-rows // f) * f, -(-columns // g) * g), dtype=conv.values().dtype)
        padded[:, :, :rows, :columns] = conv.values()
        taps = padded.reshape(count, channels, padded.shape[2] // f, f, padded.shape[3] // g, g)
        taps = taps.transpose(0, 1, 3, 5, 2, 4).reshape(count, channels * f * g, taps.shape[2], taps.shape[4])
        strides = (conv.window.strides[0] // f, conv.window.strides[1] // g)
        made = convolve.convolve(edit, blocks, taps, conv.bias, hint=view.label(conv.node), strides=strides)
        edit.replace_uses(match.nodes[0].outputs[0], made)


def _factor(stride: int, kernel: int) -> int | None:
    """The smallest block that leaves a stride, and if it can be a kernel, that the DLA has; 1 where all is well."""
    fit = [f for f in range(1, 9) if stride % f == 0 and stride // f <= convolve.LARGEST_STRIDE]
    return next((f for f in fit if -(-kernel // f) <= convolve.LARGEST_KERNEL), fit[0] if fit else None)


def _pads(conv: convolve.Convolution, axis: int, factor: int) -> tuple[int, int]:
    """Zeros (or cuts) that make the input exactly the blocks that the windows read."""
    window, size, out = conv.window, conv.data[2 + axis], conv.out[2 + axis]
    read = (out - 1) * window.strides[axis] + -(-window.kernel[axis] // factor) * factor
    return window.begin[axis], read - size - window.begin[axis]


def _laid_out(edit: Editor, x: Tensor, f: int, g: int) -> Tensor:
    """[N, C, H, W] -> [N, C * f * g, H / f, W / g]: channel c, row i and column j of each block."""
    form = view.shape(x) or (1, 1, 1, 1)
    channels = form[1]
    taps = np.eye(channels * f * g, dtype=view.dtype(x) or np.float32).reshape(-1, channels, f, g)
    return convolve.convolve(edit, x, taps, None, hint="", strides=(f, g), name="blocks")
