"""Convolutions that do not fit the DLA's convolution buffer become sums of convolutions that do.

What it does: a Conv is cut by input channels (Slices, or the inputs of the Concat that made them), by kernel rows or
    taps, or by both, into the fewest parts that the target takes; the parts are Convs, and their results are added.
Law: a convolution is a sum over its input channels and over its kernel's taps.
Numerics: ROUNDING - the sums run in another order.
Scales: partial sums inherit the scale of the result; sliced and shifted inputs that of the input.
Fires: on a two-dimensional Conv with constant weights that needs more banks of the buffer than there are, or more than
    it is sure to get.
Refuses: where even single taps of few channels do not fit, or the parts would be more than ``max_parts``.
Source: CONV-CBUF, CONV-CBUF-WARN.
Example: Conv 3x3 on [1, 1024, 64, 64] -> two Convs of 512 channels each, Add
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, Variable, convolve, view


@dataclass(frozen=True)
class Plan:
    """Parts of the kernel times ranges of input channels."""

    conv: convolve.Convolution
    blocks: tuple[convolve.Block, ...]
    channels: tuple[convolve.Span, ...]
    step: int
    """How wide one step of padding may be."""

    @property
    def parts(self) -> int:
        return len(self.blocks) * len(self.channels)


@dataclass(frozen=True)
class ConvCbuf(Pass[Plan]):
    """Convolution buffer overflow -> parts by input channels or taps, added."""

    max_parts: int = 36

    name: ClassVar[str] = "conv-cbuf"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        if view.rank(node.outputs[0]) != 4:
            return None
        if not any(f.rule.startswith("CONV-CBUF") for f in context.verdict(node).findings):
            return None
        conv = convolve.read(node)
        if conv is None:
            return Refusal("its weights are computed at run time, or its shapes are not static", (node,))
        plans = _plans(context, conv, self.max_parts)
        if not plans:
            return Refusal(f"no cut into at most {self.max_parts} parts fits the convolution buffer", (node,))
        best = min(plans, key=lambda plan: plan.parts)
        return Match((node,), best, f"{len(best.channels)} channel ranges x {len(best.blocks)} kernel blocks")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        plan = match.facts
        total = convolve.sum_of_blocks(edit, plan.conv, plan.blocks, plan.channels, plan.step)
        edit.replace_uses(plan.conv.node.outputs[0], total)


def _plans(context: Context, conv: convolve.Convolution, most: int) -> list[Plan]:
    """Cuts of the kernel into halves, thirds ... down to single taps, each with the widest channel ranges that fit."""
    rows, columns = conv.window.kernel
    cuts = [convolve.blocks(conv, convolve.spans(rows, n), [(0, columns)]) for n in _halvings(rows)]
    if columns > 1:
        cuts.append(convolve.blocks(conv, convolve.spans(rows, 1), convolve.spans(columns, 1)))
    channels = conv.data[1]
    found: list[Plan] = []
    step = convolve.narrower(context, conv.x)
    for blocks in filter(None, cuts):
        counts = range(1, min(most // len(blocks), channels if conv.window.group == 1 else 1) + 1)
        plans = (Plan(conv, blocks, convolve.spans(channels, -(-channels // count)), step) for count in counts)
        fit = next((plan for plan in plans if plan.parts > 1 and _fits(context, plan)), None)
        found += [fit] if fit is not None else []
    return found


def _halvings(size: int) -> list[int]:
    return sorted({-(-size // n) for n in range(1, size + 1)}, reverse=True)


def _fits(context: Context, plan: Plan) -> bool:
    """Whether the target takes the widest part; its pads are judged as they will be."""
    conv = plan.conv
    width = max(b - a for a, b in plan.channels)
    kind = view.dtype(conv.x) or np.dtype(np.float32)
    for block in plan.blocks:
        kernel = (block.rows[1] - block.rows[0], block.columns[1] - block.columns[0])
        size = [conv.data[2] + block.top + block.bottom, conv.data[3] + block.left + block.right]
        x = Variable("part", kind, [conv.data[0], width, *size])
        own = conv.form[1] if conv.window.group != 1 else width
        weights = Constant("weights", np.zeros((conv.form[0], own, *kernel), dtype=kind))
        attrs = {
            "strides": list(conv.window.strides),
            "dilations": [d if k > 1 else 1 for d, k in zip(conv.window.dilations, kernel, strict=True)],
            "group": conv.window.group,
        }
        if not context.allows("Conv", [x, weights], attrs):
            return False
    return True
