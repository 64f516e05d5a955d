"""Slices with steps along height and width become one-hot convolutions with strides.

What it does: Slice(x, start, end, step) along H or W is a depthwise Conv whose one kernel tap lies at the start and
    whose stride is the step; a larger start, or an end that would leave more, is cut by a Slice of step 1 before. Where
    a kernel that long costs more than that, a Slice cuts all of it and the kernel is one tap. Steps along the channels
    are left to channel-select. focus-to-conv comes before: it takes four such Slices and their Concat in one Conv.
Law: element i of the result is element start + i * step.
Numerics: EXACT - an element times one.
Scales: the result inherits the scale of the input.
Fires: on Slice with constant bounds, steps above 1 along H or W and none along N, that the target refuses.
Refuses: negative steps along H or W; steps that are no product of factors up to 8.
Source: SLICE-STRIDE, CONV-STRIDE.
Example: x[:, :, 1::2, ::2] -> depthwise Conv 2x1, stride 2x2, its one in the second row
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, choice, emit, forms, view

_LARGEST_KERNEL = 32


@dataclass(frozen=True)
class Plan:
    """Per H and W: first element, step, count; the Slice of step 1 that remains on other axes.

    ``reach`` is the longest kernel that skips to the first element.
    """

    first: tuple[int, int]
    steps: tuple[int, int]
    counts: tuple[int, int]
    channels: slice | None
    reach: int = _LARGEST_KERNEL


@dataclass(frozen=True)
class SliceSteps(Pass[Plan]):
    """Slice with steps -> strided one-hot depthwise Conv."""

    name: ClassVar[str] = "slice-steps"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Slice",)

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        x = view.input_at(node, 0)
        form = view.shape(x)
        cuts = forms.read_slice(node, context.opset) if form is not None and len(form) == 4 else None
        if x is None or form is None or cuts is None or not view.is_float(x) or 0 in cuts:
            return None
        kept = [range(size)[cuts.get(axis, slice(None))] for axis, size in enumerate(form)]
        if (kept[2].step == 1 and kept[3].step == 1) or any(len(k) == 0 for k in kept):
            return None
        if min(kept[2].step, kept[3].step) < 0:
            return Refusal("a negative step along H or W turns the order round", (node,))
        if forms.strides_of(kept[2].step) is None or forms.strides_of(kept[3].step) is None:
            return Refusal(f"steps {kept[2].step} and {kept[3].step} are no products of factors up to 8", (node,))
        plan = Plan(
            (kept[2].start, kept[3].start),
            (kept[2].step, kept[3].step),
            (len(kept[2]), len(kept[3])),
            cuts.get(1),
        )
        if context.is_native(node):
            return None
        chosen = _cheapest(x, plan, context)
        return Match((node,), chosen.form, chosen.detail(f"steps {plan.steps[0]}x{plan.steps[1]} as strides"))

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], _strided(edit, node.inputs[0], match.facts))


def _cheapest(x: Tensor, plan: Plan, context: Context) -> choice.Choice[Plan]:
    """One long kernel, or a Slice before a kernel of one tap."""
    options = [(plan, "a kernel that skips the start")]
    if any(plan.first):
        options.append((replace(plan, reach=1), "a Slice before"))
    found = []
    for option, name in options:
        cost = choice.measure(context, partial(_strided, x=x, plan=option))
        if cost is not None:
            found.append(choice.Candidate(option, name, cost))
    return choice.choose(context, found)


def _strided(edit: Editor, x: Tensor, plan: Plan) -> Tensor:
    x = _cut(edit, x, plan)
    kernel = np.zeros([plan.first[i] + 1 if _inside(x, i, plan) else 1 for i in (0, 1)])
    kernel[-1, -1] = 1
    tall, wide = (forms.strides_of(step) or () for step in plan.steps)
    if kernel.size > 1:
        x = forms.depthwise(edit, x, kernel, strides=((*tall, 1)[0], (*wide, 1)[0]))
        tall, wide = tall[1:], wide[1:]
    return forms.subsample(edit, x, math.prod(tall), math.prod(wide))


def _inside(x: Tensor, i: int, plan: Plan) -> bool:
    """Whether the start is still to be skipped by the kernel: then no more than the wanted elements come out."""
    form = view.shape(x) or (0, 0, 0, 0)
    return plan.first[i] > 0 and (form[2 + i] - plan.first[i] - 1) // plan.steps[i] + 1 == plan.counts[i]


def _cut(edit: Editor, x: Tensor, plan: Plan) -> Tensor:
    """What strides cannot say: channels, and starts and ends that kernel and stride do not give by themselves."""
    form = view.shape(x) or (0, 0, 0, 0)
    spans = {1: range(form[1])[plan.channels]} if plan.channels is not None else {}
    for i in (0, 1):
        natural = (form[2 + i] - plan.first[i] - 1) // plan.steps[i] + 1
        if natural != plan.counts[i] or plan.first[i] >= plan.reach:
            end = plan.first[i] + (plan.counts[i] - 1) * plan.steps[i] + 1
            spans[2 + i] = range(plan.first[i], end)
    spans = {a: s for a, s in spans.items() if len(s) != form[a]}
    if not spans:
        return x
    starts, ends = [s.start for s in spans.values()], [s.stop for s in spans.values()]
    steps = [s.step for s in spans.values()]
    return emit.slice_(edit, x, starts, ends, list(spans), steps)
