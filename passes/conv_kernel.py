"""Convolutions with kernels beyond 32 become sums of convolutions with smaller ones.

What it does: the kernel is cut into as few and as equal blocks of at most 32 x 32 taps as can be; each block is a Conv
    of a cropped or padded input, and their results are added. A block that reads nothing but padding is left out.
Law: a convolution is the sum over its kernel's taps of a shifted input times that tap.
Numerics: ROUNDING - the sums run in another order.
Scales: partial sums inherit the scale of the result; cropped and padded inputs that of the input.
Fires: on a two-dimensional Conv with constant weights and a kernel side above 32, any pads, strides, dilations and
    groups.
Refuses: weights that are computed at run time; a Conv that reads nothing but padding.
Source: CONV-KERNEL, CONV-PAD-LT.
Example: Conv 1x63, pads 31 -> Conv 1x31 and Conv 1x32 on shifted inputs, Add
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, view

Plan = tuple[convolve.Convolution, tuple[convolve.Block, ...]]


@dataclass(frozen=True)
class ConvKernel(Pass[Plan]):
    """Kernel > 32 -> sum of shifted smaller Convs."""

    name: ClassVar[str] = "conv-kernel"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        window = view.window(node)
        if window is None or len(window.kernel) != 2 or max(window.kernel) <= convolve.LARGEST_KERNEL:
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        rows, columns = (convolve.spans(k, convolve.LARGEST_KERNEL) for k in window.kernel)
        parts = convolve.blocks(conv, rows, columns)
        if not parts:
            return Refusal("it reads nothing but padding", (node,))
        return Match((node,), (conv, parts), f"{window.kernel[0]}x{window.kernel[1]} -> {len(parts)} kernels")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        edit.replace_uses(match.nodes[0].outputs[0], convolve.sum_of_blocks(edit, *match.facts))
