"""Convolutions over depth, height and width become two-dimensional ones, a slice of the depth at a time.

What it does: a tensor [N, C, D, H, W] is carried by D tensors of rank 4. A slice of a Conv's result is one two-
    dimensional Conv of the slices that it reads, side by side along C (with groups: one Conv each, added); a pool takes
    the maximum or the mean over pooled slices; activations, BatchNormalization and additions work on each slice. Where
    the depth comes in and goes out a Reshape and one-hot 1x1 Convs take it apart and put it together.
Law: a convolution is the sum over its kernel's taps; the taps along the depth are summed with the channels.
Numerics: ROUNDING - the sums run in another order.
Scales: each slice inherits the scale of the tensor that it is taken from.
Fires: on Conv of rank 5 with constant weights and a depth of at most 32, with the pools, activations, additions,
    Concats and BatchNormalizations around it, where all of it can be carried that way. Each slice has weights of its
    own: where that is over the budget for all of it, the parts between Concats are taken one by one.
Refuses: weights that are computed at run time; a part that something else reads in a way that is not known here.
Source: GEN-2D, CONV-2D, POOL-2D.
Example: Conv 3x3x3 on [1, 64, 8, 56, 56] -> eight Concats of two or three slices, eight Convs 3x3
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import VOLUME_RULES, Context, Editor, Match, Node, Numerics, Pass, Refusal, stacks, view


@dataclass(frozen=True)
class Conv3d(Pass[stacks.Plan]):
    """Conv of rank 5 -> Convs of rank 4 on slices of the depth."""

    name: ClassVar[str] = "conv3d"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv", "MaxPool", "AveragePool")

    def match(self, node: Node, context: Context) -> Match[stacks.Plan] | Refusal | None:
        if view.rank(node.outputs[0]) != 5:
            return None
        if not all(view.is_constant(t) for t in node.inputs[1:] if t.name):
            return Refusal("its weights are computed at run time", (node,))
        plan = _plan(node, context)
        if plan is None:
            return Refusal("what stands around it cannot be taken apart along the depth", (node,))
        if next(n for n in plan.nodes if view.is_op(n, *self.anchors)) is not node:
            return None
        depth = max(how.dims[stacks.PARTS] for step in plan.steps for how in step.outputs)
        return Match(plan.nodes, plan, f"{len(plan.nodes)} nodes of rank 5 as up to {depth} slices of rank 4")

    def apply(self, match: Match[stacks.Plan], edit: Editor) -> None:
        stacks.take_apart(match.facts, edit)


def _plan(node: Node, context: Context) -> stacks.Plan | None:
    """Everything around the Conv; only what lies between Concats where the weights of all of it are over the budget."""
    plan = stacks.plan(node, context.model, VOLUME_RULES, volumes=True)
    if plan is None or context.budget is None or _more_weights(plan) <= context.budget.bytes:
        return plan
    narrow = {op: rule for op, rule in VOLUME_RULES.items() if op != "Concat"}
    return stacks.plan(node, context.model, narrow, volumes=True) or plan


def _more_weights(plan: stacks.Plan) -> int:
    """Bytes that the Convs' weights grow by: each slice of a result has its own, less what padding would meet."""
    more = 0
    for step in plan.steps:
        form, kind = view.shape(view.input_at(step.node, 1)), view.dtype(step.node.outputs[0])
        if view.is_op(step.node, "Conv") and form is not None and kind is not None:
            more += (step.outputs[0].dims[stacks.PARTS] - 1) * math.prod(form) * kind.itemsize
    return more
