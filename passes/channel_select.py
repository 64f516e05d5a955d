"""Gather, Slice and Split of channels become Slices, or 1x1 convolutions that pick the channels.

What it does: a constant choice of channels is a Slice where it is one run and the target takes Slices, else a 1x1 Conv
    with one-hot rows; where that would cost more than 4 million MACs, up to four runs are Slices and a Concat. Where
    the channels come from a Conv that nobody else reads, the Conv itself is cut into one per choice.
Law: row i of a one-hot matrix picks channel i; the output channels of a convolution do not depend on each other.
Numerics: ROUNDING - an element times one plus zeros is the element, but a Conv that is cut may sum in another order.
Scales: each choice inherits the scale of the tensor that it is taken from.
Fires: on Gather with constant indices, Slice with constant bounds (any step) and Split, along axis 1 of rank 4, that
    the target refuses or doubts (Slices in INT8 builds, and before TensorRT 8.4).
Refuses: nothing; other axes are another pass's business.
Source: SLICE-FP16, SLICE-NONE, SLICE-STRIDE, NODLA; NVIDIA's Gather -> 1x1 Conv.
Example: Gather(x, [2, 1, 0], axis 1) -> Conv 1x1 with an anti-diagonal of ones
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
    elements,
    emit,
    forms,
    view,
)

_FEW_RUNS, _CHEAP_MACS = 4, 1 << 22


@dataclass(frozen=True)
class Choice:
    """Per output the channels that it takes; whether the target has Slices; the Conv to be cut, if any."""

    rows: tuple[tuple[int, ...], ...]
    slices: bool
    maker: convolve.Convolution | None


@dataclass(frozen=True)
class ChannelSelect(Pass[Choice]):
    """Channels chosen by constants -> Slice, one-hot 1x1 Conv, or cut weights."""

    name: ClassVar[str] = "channel-select"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gather", "Slice", "Split")

    def match(self, node: Node, context: Context) -> Match[Choice] | Refusal | None:
        x = view.input_at(node, 0)
        form = view.shape(x)
        if x is None or form is None or len(form) != 4 or not view.is_float(x):
            return None
        rows = _rows(node, form, context.opset)
        if rows is None or any(not r for r in rows):
            return None
        slices = forms.takes_slices(context, x)
        maker = _maker(x, node, context)
        how = "cut out of the Conv before" if maker is not None else "by Slices" if slices else "by one-hot 1x1 Convs"
        nodes = (node,) if maker is None else (node, maker.node)
        return Match(nodes, Choice(rows, slices, maker), f"{sum(map(len, rows))} of {form[1]} channels {how}")

    def apply(self, match: Match[Choice], edit: Editor) -> None:
        node, choice = match.nodes[0], match.facts
        for tensor, rows in zip(node.outputs, choice.rows, strict=True):
            if tensor.name:
                edit.replace_uses(tensor, _chosen(edit, node.inputs[0], rows, choice))


def _rows(node: Node, form: tuple[int, ...], opset: int) -> tuple[tuple[int, ...], ...] | None:
    """The channels that each output takes, or None where it is no choice of channels alone."""
    every = np.arange(form[1])
    if node.op == "Split":
        if view.axis(int(view.attr(node, "axis", 0)), 4) != 1:
            return None
        sizes = [(view.shape(t) or (0, 0))[1] for t in node.outputs]
        if sum(sizes) != form[1]:
            return None
        return tuple(tuple(int(c) for c in part) for part in np.split(every, np.cumsum(sizes)[:-1]))
    if node.op == "Gather":
        held = view.constant_value(view.input_at(node, 1))
        if view.axis(int(view.attr(node, "axis", 0)), 4) != 1 or held is None or held.ndim != 1:
            return None
        return (tuple(int(c) for c in every[held.astype(np.int64)]),)
    cuts = forms.read_slice(node, opset)
    if cuts is None or any(axis != 1 for axis in cuts):
        return None
    return (tuple(int(c) for c in every[cuts[1]]),) if 1 in cuts else None


def _maker(x: Tensor, node: Node, context: Context) -> convolve.Convolution | None:
    """The dense Conv that makes the tensor for this node alone."""
    maker = view.producer(x)
    if maker is None or context.model.is_pinned(x) or len(view.consumers(x)) != 1 or not context.is_native(maker):
        return None
    conv = convolve.read(maker)
    return conv if conv is not None and conv.window.group == 1 else None


def _chosen(edit: Editor, x: Tensor, rows: tuple[int, ...], choice: Choice) -> Tensor:
    conv = choice.maker
    if conv is not None:
        bias = view.constant_value(conv.bias)
        return convolve.convolve(
            edit,
            conv.x,
            conv.values()[list(rows)],
            None if bias is None else edit.constant(bias[list(rows)], "bias"),
            hint=view.label(conv.node),
            strides=conv.window.strides,
            dilations=conv.window.dilations,
            pads=conv.window.pads,
            name=str(conv.weights.name),
        )
    runs = forms.runs(rows)
    cheap = len(rows) * elements(x) <= _CHEAP_MACS
    if not choice.slices or len(runs) > _FEW_RUNS or (len(runs) > 1 and cheap):
        return forms.pick_channels(edit, x, rows)
    parts: list[Tensor] = [emit.slice_(edit, x, [a], [b], [1]) for a, b in runs]
    return parts[0] if len(parts) == 1 else edit.op("Concat", parts, {"axis": 1})
