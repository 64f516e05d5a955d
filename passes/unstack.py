"""Tensors of rank 5 that stack a few NCHW tensors are carried apart.

What it does: a Concat of Unsqueezes, or a Reshape of [N, K C, H, W] to [N, K, C, H, W], becomes K tensors of rank 4;
    what works on the stack works on each of them, a reduction over the stack is a chain of Adds (or Max, Min), a
    Softmax over a stack of two is Sigmoid(a - b) and Sigmoid(b - a), a choice from the stack is one of them, and a
    Reshape back a Concat.
Law: position k along the stack is tensor k; softmax(a, b) = (1 / (1 + e^(b - a)), 1 / (1 + e^(a - b))).
Numerics: ROUNDING - sums run in another order, and a Softmax is written as a Sigmoid.
Scales: each part inherits the scale of the stack.
Fires: where everything between the stacking and the choice, reduction or merge is known and refused as it is; at most
    eight parts.
Refuses: nothing; a stack that something else reads as a whole is left alone.
Source: CAT-AXIS, SHUF-4D, RED-MAX, GEN-RANK; the selective kernels of SKNet, the split attention of ResNeSt, sums of
    stacks.
Example: Unsqueeze(a), Unsqueeze(b), Concat, ReduceSum over the new axis -> Add(a, b)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import STACK_RULES, Context, Editor, Match, Node, Numerics, Pass, Refusal, stacks, view


@dataclass(frozen=True)
class Unstack(Pass[stacks.Plan]):
    """Stack of branches -> the branches themselves."""

    name: ClassVar[str] = "unstack"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Concat", "Reshape")

    def match(self, node: Node, context: Context) -> Match[stacks.Plan] | Refusal | None:
        rank = view.rank(node.outputs[0])
        if rank is None or rank < 3 or not view.is_float(node.outputs[0]):
            return None
        if (rank == 4) == (node.op == "Concat"):
            return None
        plan = stacks.plan(node, context.model, STACK_RULES)
        if plan is None or next(n for n in plan.nodes if n.op in self.anchors) is not node:
            return None
        return Match(plan.nodes, plan, f"{len(plan.nodes)} nodes on stacked tensors taken apart")

    def apply(self, match: Match[stacks.Plan], edit: Editor) -> None:
        stacks.take_apart(match.facts, edit)
