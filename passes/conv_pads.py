"""Convolution pads that the DLA does not take are made by convolutions of their own.

What it does: what exceeds 31, or reaches the undilated kernel's size, is taken out of the pads and made before the Conv
    by one-hot depthwise Convs (kernel a + b + 1 and pads a + b on both sides for a zeros before and b after): one over
    both axes up to 7, which is a layer less, else one for each, which is fewer MACs.
Law: padding with zeros and convolving is one operation or two.
Numerics: EXACT - the padded input holds the same elements and zeros; the Conv is the same.
Scales: the padded input inherits the scale of the input.
Fires: on a two-dimensional Conv with constant weights whose pads are refused or doubtful: 3x3 dilated by 6 with pads 6.
Refuses: weights that are computed at run time.
Source: CONV-PAD, CONV-PAD-LT, CONV-PAD-KDIL.
Example: Conv 3x3, dilation 6, pads 6 -> depthwise Conv 9x9 that pads by 4, Conv 3x3, dilation 6, pads 2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, view


@dataclass(frozen=True)
class Plan:
    """Pads per side (top, bottom, left, right).

    The Conv's own, and those made before; the widest step of the latter.
    """

    own: tuple[int, ...]
    before: tuple[int, ...]
    step: int


@dataclass(frozen=True)
class ConvPads(Pass[Plan]):
    """Pads > 31 or >= kernel -> depthwise one-hot Conv before."""

    name: ClassVar[str] = "conv-pads"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        window = view.window(node)
        if window is None or len(window.kernel) != 2:
            return None
        wanted = (window.begin[0], window.end[0], window.begin[1], window.end[1])
        room = [min(convolve.LARGEST_PAD, k - 1) for k in (window.kernel[0],) * 2 + (window.kernel[1],) * 2]
        own = tuple(min(w, r) for w, r in zip(wanted, room, strict=True))
        if own == wanted:
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        before = tuple(w - o for w, o in zip(wanted, own, strict=True))
        plan = Plan(own, before, convolve.narrower(context, conv.x))
        return Match((node,), plan, f"pads {list(wanted)} -> {list(before)} before, {list(own)} in the Conv")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node, plan = match.nodes[0], match.facts
        padded = convolve.shifted(edit, node.inputs[0], plan.before, plan.step)
        attrs = {k: v for k, v in node.attrs.items() if k != "auto_pad"}
        attrs["pads"] = [plan.own[i] for i in (0, 2, 1, 3)]
        edit.replace_uses(node.outputs[0], edit.op("Conv", [padded, *node.inputs[1:]], attrs))
