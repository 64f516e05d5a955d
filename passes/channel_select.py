"""Gather, Slice and Split of channels become Slices, or 1x1 convolutions that pick the channels.

What it does: a constant choice of channels is Slices (up to four runs, and a Concat), or a 1x1 Conv with one-hot rows;
    where the channels come from a Conv that nobody else reads, the Conv itself cut into one per choice, with the
    operators between that work channel by channel (activations, depthwise Convs, pools; not in INT8). The cheapest
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

from dataclasses import dataclass, replace
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
    cutting,
    emit,
    forms,
    view,
)

_FEW_RUNS = 4


@dataclass(frozen=True)
class Picks:
    """Outputs and the channels of x that they take; whether few runs are Slices; what is cut for each, if anything."""

    x: Tensor
    ends: tuple[tuple[Tensor, tuple[int, ...]], ...]
    slices: bool
    cone: cutting.Cone | None = None


@dataclass(frozen=True)
class ChannelSelect(Pass[Picks]):
    """Channels chosen by constants -> Slice, one-hot 1x1 Conv, or cut weights."""

    name: ClassVar[str] = "channel-select"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Gather", "Slice", "Split")

    def match(self, node: Node, context: Context) -> Match[Picks] | Refusal | None:
        x, ends = view.input_at(node, 0), _ends(node, context)
        if x is None or ends is None:
            return None
        # What makes the tensor is cut for all who choose from it, or the first would pay for the others.
        choosers = tuple({id(n): n for n in (node, *view.consumers(x))}.values())
        every = [_ends(n, context) for n in choosers]
        cone = cutting.read(context, x, choosers) if all(e is not None for e in every) else None
        chosen, nodes = _cheapest(Picks(x, ends, True), None, context), (node,)
        if cone is not None:
            together = _cheapest(Picks(x, tuple(end for e in every for end in e or ()), True), cone, context)
            if together.form.cone is not None:
                chosen, nodes, ends = together, (*choosers, *cone.nodes), together.form.ends
        text = f"{sum(len(rows) for _, rows in ends)} of {(view.shape(x) or ())[1]} channels"
        return Match(nodes, chosen.form, chosen.detail(text) if chosen.sentence else f"{text} by {chosen.name}")

    def apply(self, match: Match[Picks], edit: Editor) -> None:
        for tensor, made in _picked(edit, match.facts):
            edit.replace_uses(tensor, made)


def _ends(node: Node, context: Context) -> tuple[tuple[Tensor, tuple[int, ...]], ...] | None:
    """Each output of a refused choice of channels that has a name, and its channels; None for any other node."""
    x = view.input_at(node, 0)
    form = view.shape(x)
    if not view.is_op(node, "Gather", "Slice", "Split") or form is None or len(form) != 4 or not view.is_float(x):
        return None
    rows = _rows(node, form, context.opset)
    if rows is None or any(not r for r in rows) or context.is_native(node):
        return None
    return tuple((tensor, r) for tensor, r in zip(node.outputs, rows, strict=True) if tensor.name)


def _cheapest(picks: Picks, cone: cutting.Cone | None, context: Context) -> choice.Choice[Picks]:
    """The form that costs least, what stands before it included; Slices only where there are few runs."""
    before = () if cone is None else cone.nodes
    options = [(picks, "Slices"), (replace(picks, slices=False), "one-hot 1x1 Convs")]
    if all(len(forms.runs(rows)) > _FEW_RUNS for _, rows in picks.ends):
        del options[0]
    if cone is not None:
        options.append((replace(picks, slices=False, cone=cone), "weights cut in the Conv before"))
    found = []
    for form, name in options:
        cost = choice.measure(context, partial(_picked, picks=form))
        if cost is not None and form.cone is None:
            cost = sum((choice.of_node(n, context) for n in before), cost)
        if cost is not None:
            found.append(choice.Candidate(form, name, cost))
    return choice.choose(context, found, before)


def _picked(edit: Editor, picks: Picks) -> list[tuple[Tensor, Tensor]]:
    """Each output, and what takes its place."""
    return [(tensor, _chosen(edit, picks.x, rows, picks)) for tensor, rows in picks.ends]


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


def _chosen(edit: Editor, x: Tensor, rows: tuple[int, ...], picks: Picks) -> Tensor:
    if picks.cone is not None:
        return cutting.emit(edit, picks.cone, rows)
    runs = forms.runs(rows)
    if not picks.slices or len(runs) > _FEW_RUNS:
        return forms.pick_channels(edit, x, rows)
    parts: list[Tensor] = [emit.slice_(edit, x, [a], [b], [1]) for a, b in runs]
    return parts[0] if len(parts) == 1 else edit.op("Concat", parts, {"axis": 1})
