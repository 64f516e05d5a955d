"""Choices of rows and columns become Slices, strided convolutions, or one-hot convolutions that crop.

What it does: Gather with constant indices along H or W is a Slice where they are one run, a strided one-hot depthwise
    Conv where they are evenly spaced. Slice and Split along H and W are one-hot depthwise Convs where the target has no
    Slice for them (INT8 builds, TensorRT 8.2): a kernel longer by what it cuts, its one behind what goes at the front.
    A Slice multiplies nothing, so it wins wherever it is legal; the report says what the Convs would have cost.
Law: the choice of elements start, start + step, ... of an axis is a convolution with one tap.
Numerics: EXACT - an element times one.
Scales: each choice inherits the scale of the tensor that it is taken from.
Fires: on Gather with a constant list of indices, Slice of step 1 and Split along H or W of rank 4 that the target
    refuses or doubts.
Refuses: Gather indices that are not evenly spaced.
Source: SLICE-FP16, SLICE-NONE, NODLA, CONV-KERNEL.
Example: Gather(x, [1, 2, 3], axis 2) -> Slice of rows 1 to 4
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, choice, emit, forms, view

Choices = tuple[tuple[int, range], ...]
"""Per output its axis and its elements."""


@dataclass(frozen=True)
class Plan:
    """The choice of each output along the axis, and whether the target has Slices for it."""

    axis: int
    rows: tuple[range, ...]
    slices: bool


@dataclass(frozen=True)
class SliceSplitHw(Pass[Plan]):
    """Gather, Slice, Split over H or W -> Slice or one-hot depthwise Conv."""

    name: ClassVar[str] = "slice-split-hw"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Gather", "Slice", "Split")

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        x = view.input_at(node, 0)
        form = view.shape(x)
        if x is None or form is None or len(form) != 4 or 0 in form or not view.is_float(x) or view.is_constant(x):
            return None
        found = _choices(node, form, context.opset)
        if found is None or isinstance(found, Refusal) or context.is_native(node):
            return found if isinstance(found, Refusal) else None
        axis, rows = found
        chosen = _cheapest(node, axis, rows, context)
        text = f"{sum(map(len, rows))} of {form[axis]} along {'NCHW'[axis]}"
        return Match((node,), chosen.form, chosen.detail(text) if chosen.sentence else f"{text} by {chosen.name}")

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        for tensor, made in _pieces(edit, match.nodes[0], match.facts):
            edit.replace_uses(tensor, made)


def _cheapest(node: Node, axis: int, rows: tuple[range, ...], context: Context) -> choice.Choice[Plan]:
    found = []
    for plan, name in ((Plan(axis, rows, True), "Slices"), (Plan(axis, rows, False), "one-hot Convs")):
        cost = choice.measure(context, partial(_pieces, node=node, plan=plan))
        if cost is not None:
            found.append(choice.Candidate(plan, name, cost))
    return choice.choose(context, found)


def _pieces(edit: Editor, node: Node, plan: Plan) -> list[tuple[Tensor, Tensor]]:
    """Each output that has a name, and what takes its place."""
    named = [(t, rows) for t, rows in zip(node.outputs, plan.rows, strict=True) if t.name]
    return [(tensor, _taken(edit, node.inputs[0], rows, plan)) for tensor, rows in named]


def _choices(node: Node, form: tuple[int, ...], opset: int) -> tuple[int, tuple[range, ...]] | Refusal | None:
    where = view.axis(int(view.attr(node, "axis", 0)), 4)
    if node.op == "Split" and where in (2, 3):
        ends = np.cumsum([0, *((view.shape(t) or (0,) * 4)[where] for t in node.outputs)]).tolist()
        parts = tuple(range(a, b) for a, b in itertools.pairwise(ends))
        # A part without elements has no DLA form, and unknown sizes do not add up.
        return (where, parts) if ends[-1] == form[where] and all(parts) else None
    if node.op == "Slice":
        cuts = forms.read_slice(node, opset) or {}
        kept = [(axis, range(form[axis])[cut]) for axis, cut in cuts.items()]
        plain = len(kept) == 1 and kept[0][0] in (2, 3) and kept[0][1].step == 1 and len(kept[0][1])
        return (kept[0][0], (kept[0][1],)) if plain else None
    held = view.constant_value(view.input_at(node, 1))
    if node.op != "Gather" or where not in (2, 3) or held is None or held.ndim != 1 or not held.size:
        return None
    rows = np.arange(form[where])[held.astype(np.int64)].tolist()
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    if step < 1 or forms.strides_of(step) is None or rows != list(range(rows[0], rows[-1] + 1, step)):
        return Refusal(f"indices {rows[:8]} along {'NCHW'[where]} are not evenly spaced", (node,))
    return where, (range(rows[0], rows[-1] + 1, step),)


def _taken(edit: Editor, x: Tensor, rows: range, plan: Plan) -> Tensor:
    first, end = rows[0], rows[-1] + 1
    if plan.slices and (first, end) != (0, (view.shape(x) or (0,) * 4)[plan.axis]):
        x = emit.slice_(edit, x, [first], [end], [plan.axis])
    elif not plan.slices:
        x = forms.crop(edit, x, plan.axis, first, end)
    steps = (rows.step, 1) if plan.axis == 2 else (1, rows.step)
    return forms.subsample(edit, x, *steps)
