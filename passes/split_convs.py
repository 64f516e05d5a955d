"""Convs on the parts of a Split whose results are joined again become one grouped Conv.

What it does: Convs that read the channels of one tensor in parts, in order, and a Concat of their results -> one Conv
    of the tensor with the groups of all. Kernels of other sizes, dilations and pads get zeros around them; a part that
    goes straight to the Concat is a kernel of a single one.
Law: a group of a Conv sees its own channels alone, and a tap of zero adds nothing. Smaller kernels cost the MACs of the
    greatest; what is saved is the choice of channels, which multiplies where the target does not slice.
Numerics: ROUNDING - the products are summed in another order.
Scales: the Conv's result keeps the scale of the Concat's.
Fires: where the target refuses or doubts one of these nodes, mostly the Split (INT8, and before TensorRT 8.4).
Refuses: nothing; groups that do not all have as many input and output channels as each other are left.
Source: SLICE-FP16, SLICE-NONE, CONV-GROUPS, CONV-KERNEL; the mixed depthwise convolutions of MixNet.
Example: Split(x[1,8,H,W]), Conv 3x3 of 4 groups on one half, 5x5 on the other, Concat -> Conv(x, w[8,1,5,5]; group 8)
"""

from __future__ import annotations

from dataclasses import dataclass
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
    convolve,
    spatial,
    view,
    wiring,
)


@dataclass(frozen=True)
class Joined:
    """The Conv of all parts."""

    x: Tensor
    weights: spatial.Values
    bias: spatial.Values | None
    group: int
    strides: spatial.Pair
    pads: tuple[int, int, int, int]


Part = tuple[Tensor, convolve.Convolution | None]
"""What the Concat joins, and the Conv that makes it; None where it is the tensor's channels themselves."""


@dataclass(frozen=True)
class SplitConvs(Pass[Joined]):
    """Split, Convs, Concat -> one grouped Conv."""

    name: ClassVar[str] = "split-convs"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Concat",)

    def match(self, node: Node, context: Context) -> Match[Joined] | Refusal | None:
        if not wiring.joins(node):
            return None
        numbers: dict[int, int] = {}
        sources: list[Tensor | None] = []
        parts: list[Part] = []
        wires, nodes = [], {id(node): node}
        for tensor in node.inputs:
            conv = _own_conv(tensor, context)
            read = tensor if conv is None else conv.x
            parts.append((tensor, conv))
            wires.append(wiring.upstream(read, numbers, sources, context.opset))
            maker = view.producer(read)
            if maker is not None and wiring.chosen(maker, context.opset) is not None:
                nodes[id(maker)] = maker
            if conv is not None:
                nodes[id(conv.node)] = conv.node
        form = view.shape(sources[0])
        if len(sources) != 1 or sources[0] is None or form is None or all(conv is None for _, conv in parts):
            return None
        if not np.array_equal(wiring.joined(wires).channels, np.arange(form[1])):
            return None
        made = _join(sources[0], form, view.shape(node.outputs[0]) or (), parts)
        return None if made is None else Match(tuple(nodes.values()), made, f"{len(parts)} parts, {made.group} groups")

    def apply(self, match: Match[Joined], edit: Editor) -> None:
        node, facts = match.nodes[0], match.facts
        bias = None if facts.bias is None else edit.constant(facts.bias, "bias")
        made = convolve.convolve(
            edit,
            facts.x,
            facts.weights,
            bias,
            hint=view.label(node),
            strides=facts.strides,
            pads=facts.pads,
            group=facts.group,
        )
        edit.replace_uses(node.outputs[0], made)


def _own_conv(tensor: Tensor, context: Context) -> convolve.Convolution | None:
    """The Conv that makes the tensor for the Concat alone."""
    maker = view.producer(tensor)
    if maker is None or len(tensor.outputs) != 1 or context.model.is_pinned(tensor):
        return None
    return convolve.read(maker)


def _join(x: Tensor, form: tuple[int, ...], out: tuple[int, ...], parts: list[Part]) -> Joined | None:
    """The Conv of all parts, or None where their groups or strides differ."""
    convs = [conv for _, conv in parts if conv is not None]
    strides = {conv.window.strides for conv in convs}
    sizes = {(conv.form[1], conv.form[0] // conv.window.group) for conv in convs}
    if any(conv is None for _, conv in parts):
        strides, sizes = strides | {(1, 1)}, sizes | {(1, 1)}
    if len(strides) != 1 or len(sizes) != 1 or len(out) != 4:
        return None
    stride, (inputs, _), begin, kernel, end = strides.pop(), sizes.pop(), [0, 0], [1, 1], [0, 0]
    for i in (0, 1):
        begin[i] = max(c.window.begin[i] for c in convs)
        # The tap before which begin pads lie is the one that meets the first element.
        kernel[i] = begin[i] + 1 + max(_last(c, i) for c in convs)
        end[i] = max(0, (out[i + 2] - 1) * stride[i] + kernel[i] - form[i + 2] - begin[i])
    weights = np.zeros((out[1], inputs, *kernel), dtype=view.dtype(x))
    bias, at, group = np.zeros(out[1], dtype=view.dtype(x)), 0, 0
    for tensor, conv in parts:
        count = (view.shape(tensor) or (0, 0))[1]
        if conv is None:
            weights[at : at + count, 0, begin[0], begin[1]] = 1
        else:
            rows, columns = (
                [begin[i] - conv.window.begin[i] + t * conv.window.dilations[i] for t in range(conv.form[i + 2])]
                for i in (0, 1)
            )
            weights[at : at + count, :, np.asarray(rows)[:, None], np.asarray(columns)] = conv.values()
            given = view.constant_value(conv.bias)
            bias[at : at + count] = 0 if given is None else given
        at, group = at + count, group + (count if conv is None else conv.window.group)
    biased = any(conv.bias is not None for conv in convs)
    pads = (begin[0], begin[1], end[0], end[1])
    return Joined(x, weights, bias if biased else None, group, (stride[0], stride[1]), pads)


def _last(conv: convolve.Convolution, i: int) -> int:
    """Where the last tap of the first window lies, in elements."""
    return max(0, (conv.form[i + 2] - 1) * conv.window.dilations[i] - conv.window.begin[i])
