"""Grouped convolutions whose groups a format or precision does not take get fewer, wider groups.

What it does: as many neighbouring groups as needed become one, with zeros between their weights; all of them, where
    nothing less will do, which makes a dense convolution. Merging multiplies MACs and weights and saves no layer, so
    the fewest merged are the cheapest; the report says what the next would cost.
Law: a convolution with groups is one whose weights are zero between the groups.
Numerics: ROUNDING - zeros are added to each sum, and a wider sum may run in another order.
Scales: the result keeps its scale; weights keep theirs per output channel.
Fires: on a two-dimensional Conv with constant weights whose groups the target refuses or doubts (INT8: channels per
    group that are no multiple of 4), with the fewest groups merged that it takes.
Refuses: where no merging helps.
Source: CONV-GROUPS, CONV-GROUP-INT8.
Example: Conv with 8 groups of 6 channels, INT8 -> 4 groups of 12
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, choice, convolve, macs, view

Plan = tuple[convolve.Convolution, int]


@dataclass(frozen=True)
class ConvGroupsDense(Pass[Plan]):
    """Groups -> fewer, wider groups, or a dense Conv."""

    name: ClassVar[str] = "conv-groups-dense"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        group = int(view.attr(node, "group", 1))
        if group == 1 or view.rank(node.outputs[0]) != 4:
            return None
        if not any(f.rule.startswith("CONV-GROUP") for f in context.verdict(node).findings):
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        own, found = choice.of_node(node, context), []
        for merged in (m for m in range(2, group + 1) if group % m == 0):
            if _takes(context, conv, merged):
                wide = choice.Cost(macs(node) * merged, own.moved, own.weights * merged, 1)
                name = f"{group // merged} group" + ("s" if group > merged else "")
                found.append(choice.Candidate(merged, name, wide))
        if not found:
            return Refusal(f"no way to merge its {group} groups makes a convolution that the target takes", (node,))
        chosen = choice.choose(context, found, (node,))
        return Match((node,), (conv, chosen.form), f"{group} groups -> {chosen.sentence or chosen.name}")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        conv, merged = match.facts
        count, channels, *kernel = conv.form
        groups = conv.window.group // merged
        values = conv.values().reshape(groups, merged, count // conv.window.group, channels, *kernel)
        wide = np.zeros((groups, merged, count // conv.window.group, merged, channels, *kernel), dtype=values.dtype)
        each = np.arange(merged)
        wide[:, each, :, each] = values.swapaxes(0, 1)
        weights = edit.constant(wide.reshape(count, merged * channels, *kernel), str(conv.weights.name))
        attrs = {**conv.node.attrs, "group": groups}
        edit.replace_uses(conv.node.outputs[0], edit.op("Conv", [conv.x, weights, *conv.node.inputs[2:]], attrs))


def _takes(context: Context, conv: convolve.Convolution, merged: int) -> bool:
    count, channels, *kernel = conv.form
    weights = Constant("weights", np.zeros((count, merged * channels, *kernel), dtype=view.dtype(conv.x) or np.float32))
    attrs = {**conv.node.attrs, "group": conv.window.group // merged}
    return context.allows("Conv", [conv.x, weights, *conv.node.inputs[2:]], attrs)
