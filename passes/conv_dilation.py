"""Convolutions dilated by more than 32 become sums of convolutions that are not dilated along that axis.

What it does: along an axis whose dilation is above 32 the kernel is cut into single taps; each is a Conv of a cropped
    or padded input, and their results are added. A tap that reads nothing but padding is left out, with its work.
Law: a convolution is the sum over its kernel's taps of a shifted input times that tap.
Numerics: ROUNDING - the sums run in another order.
Scales: partial sums inherit the scale of the result; cropped and padded inputs that of the input.
Fires: on a two-dimensional Conv with constant weights and a dilation above 32, any pads, strides and groups.
Refuses: weights that are computed at run time; a Conv that reads nothing but padding.
Source: CONV-DIL, CONV-PAD-LT.
Example: Conv 3x3, dilation 36, pads 36 on 33x33 -> Conv 1x1: all other taps read padding
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, view

Plan = tuple[convolve.Convolution, tuple[convolve.Block, ...]]


@dataclass(frozen=True)
class ConvDilation(Pass[Plan]):
    """Dilation > 32 -> sum of shifted Convs."""

    name: ClassVar[str] = "conv-dilation"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        window = view.window(node)
        if window is None or len(window.kernel) != 2 or max(window.dilations) <= convolve.LARGEST_DILATION:
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        sizes = [
            1 if d > convolve.LARGEST_DILATION else k for k, d in zip(window.kernel, window.dilations, strict=True)
        ]
        rows, columns = (convolve.spans(k, size) for k, size in zip(window.kernel, sizes, strict=True))
        parts = convolve.blocks(conv, rows, columns)
        if not parts:
            return Refusal("it reads nothing but padding", (node,))
        taps = window.kernel[0] * window.kernel[1]
        return Match((node,), (conv, parts), f"dilation {max(window.dilations)}: {taps} taps -> {len(parts)} Convs")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        edit.replace_uses(match.nodes[0].outputs[0], convolve.sum_of_blocks(edit, *match.facts))
