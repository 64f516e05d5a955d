"""Gather, Slice and Split of channels become Slices, or 1x1 convolutions that pick the channels.

What it does: a constant choice of channels is Slices (up to four runs, and a Concat), or a 1x1 Conv with one-hot rows;
    where the channels come from a Conv that nobody else reads, the Conv itself cut into one per choice. The cheapest
    legal form is taken: Slices multiply nothing, one Conv is one layer, a cut Conv leaves out what nobody reads.
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
from functools import partial
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
    choice,
    convolve,
    emit,
    forms,
    view,
)

_FEW_RUNS = 4


@dataclass(frozen=True)
class Picks:
    """Per output the channels that it takes; whether few runs are Slices; the Conv to be cut, if any."""

    rows: tuple[tuple[int, ...], ...]
    slices: bool
    maker: convolve.Convolution | None = None


@dataclass(frozen=True)
class ChannelSelect(Pass[Picks]):
    """Channels chosen by constants -> Slice, one-hot 1x1 Conv, or cut weights."""

    name: ClassVar[str] = "channel-select"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gather", "Slice", "Split")

    def match(self, node: Node, context: Context) -> Match[Picks] | Refusal | None:
        x = view.input_at(node, 0)
        form = view.shape(x)
        if x is None or form is None or len(form) != 4 or not view.is_float(x):
            return None
        rows = _rows(node, form, context.opset)
        if rows is None or any(not r for r in rows) or context.is_native(node):
            return None
        chosen = _cheapest(node, rows, _maker(x, node, context), context)
        maker = chosen.form.maker
        nodes = (node,) if maker is None else (node, maker.node)
        text = f"{sum(map(len, rows))} of {form[1]} channels"
        return Match(nodes, chosen.form, chosen.detail(text) if chosen.sentence else f"{text} by {chosen.name}")

    def apply(self, match: Match[Picks], edit: Editor) -> None:
        for tensor, made in _picked(edit, match.nodes[0], match.facts):
            edit.replace_uses(tensor, made)


def _cheapest(
    node: Node, rows: tuple[tuple[int, ...], ...], maker: convolve.Convolution | None, context: Context
) -> choice.Choice[Picks]:
    """The form that costs least, a Conv before it included; Slices only where there are few runs."""
    options = [(Picks(rows, True), "Slices"), (Picks(rows, False), "one-hot 1x1 Convs")]
    if all(len(forms.runs(r)) > _FEW_RUNS for r in rows):
        del options[0]
    if maker is not None:
        options.append((Picks(rows, False, maker), "weights cut in the Conv before"))
    found = []
    for picks, name in options:
        cost = choice.measure(context, partial(_picked, node=node, picks=picks))
        if cost is not None and maker is not None and picks.maker is None:
            cost += choice.of_node(maker.node, context)
        if cost is not None:
            found.append(choice.Candidate(picks, name, cost))
    return choice.choose(context, found, () if maker is None else (maker.node,))


def _picked(edit: Editor, node: Node, picks: Picks) -> list[tuple[Tensor, Tensor]]:
    """Each output that has a name, and what takes its place."""
    named = [(t, rows) for t, rows in zip(node.outputs, picks.rows, strict=True) if t.name]
    return [(tensor, _chosen(edit, node.inputs[0], rows, picks)) for tensor, rows in named]


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


def _chosen(edit: Editor, x: Tensor, rows: tuple[int, ...], picks: Picks) -> Tensor:
    conv = picks.maker
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
    if not picks.slices or len(runs) > _FEW_RUNS:
        return forms.pick_channels(edit, x, rows)
    parts: list[Tensor] = [emit.slice_(edit, x, [a], [b], [1]) for a, b in runs]
    return parts[0] if len(parts) == 1 else edit.op("Concat", parts, {"axis": 1})
