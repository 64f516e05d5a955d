"""Convolutions with more than 8192 output channels become several, side by side.

What it does: the weights are cut by output channels into as few and as equal parts of at most 8192 as can be; a Concat
    puts the results together again.
Law: the output channels of a convolution do not depend on each other.
Numerics: ROUNDING - each output channel is the same sum, which may run in another order for fewer channels.
Scales: the parts inherit the scale of the result.
Fires: on a two-dimensional Conv with constant weights, group 1 and more than 8192 output channels.
Refuses: groups; weights that are computed at run time.
Source: CONV-OUTMAPS; the Concat of more than 8192 channels stays refused by GEN-DIM.
Example: Conv 1x1 to 21841 channels -> three Convs to 7280, 7280 and 7281, Concat
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, view

LARGEST = 8192

Plan = tuple[convolve.Convolution, tuple[convolve.Span, ...]]


@dataclass(frozen=True)
class ConvMaps(Pass[Plan]):
    """More than 8192 maps -> several Convs and a Concat."""

    name: ClassVar[str] = "conv-maps"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        form = view.shape(view.input_at(node, 1))
        if form is None or len(form) != 4 or form[0] <= LARGEST:
            return None
        conv = convolve.read(node)
        if conv is None or conv.window.group != 1:
            return Refusal("its weights are computed at run time, or it has groups", (node,))
        parts = convolve.spans(form[0], LARGEST)
        return Match((node,), (conv, parts), f"{form[0]} maps -> {len(parts)} Convs")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        conv, parts = match.facts
        values, bias = conv.values(), view.constant_value(conv.bias)
        w = conv.window
        made = [
            convolve.convolve(
                edit,
                conv.x,
                values[a:b],
                None if bias is None else edit.constant(bias[a:b].copy(), "bias"),
                hint=view.label(conv.node),
                strides=w.strides,
                dilations=w.dilations,
                pads=w.pads,
            )
            for a, b in parts
        ]
        edit.replace_uses(conv.node.outputs[0], edit.op("Concat", made, {"axis": 1}))
