"""LSTM, GRU and RNN of fixed length are written out step by step.

What it does: the input's part of all gates is one 1x1 Conv over [N, I, 1, T]; each step adds a 1x1 Conv of the state
    before and goes through Sigmoid, Tanh, Mul and Add on [N, H, 1, 1]. The states of all steps are joined at the end:
    along the width (which concat-axis then cures), or along the channels and turned, where the target takes Reshapes.
Law: ONNX's equations; 1 - z is not formed, as (1 - z) n + z h = n + z (h - n).
Numerics: ROUNDING - the same function, the sums run in another order.
Scales: the input's carrier inherits the input's scale, Sigmoid outputs have 1/127 (Q-SIGMOID), states that of Y.
Fires: on static shapes and constant weights, while the layers of all such nodes (up to 16 a step) fit the growth
    budget: forward, reverse and bidirectional, layout 0 and 1, peepholes, initial states, linear_before_reset,
    activations of Sigmoid, Tanh and Relu, any choice of outputs (doubtful=true: turned even where the target takes a
    Reshape with doubt).
Refuses: more layers than the budget (a DLA starts each of them anew, where the GPU runs the node as one), weights that
    are not constant, sequence_lens that differ from the length, clip, input_forget, other activations.
Source: ONNX LSTM, GRU, RNN; NODLA, CAT-AXIS, SHUF-NEIGH; re-expression R12.
Example: RNN([2, N, I], hidden 4) -> Conv 1x1, Slice, Tanh, Slice, Conv 1x1, Add, Tanh, Concat
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Constant,
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Variable,
    recurrence,
    unrolling,
    view,
)


@dataclass(frozen=True)
class Plan:
    """The cell, and whether the states of all steps are joined along the channels."""

    cell: recurrence.Cell
    stacked: bool


@dataclass(frozen=True)
class Recurrent(Pass[Plan]):
    """LSTM, GRU, RNN -> Conv 1x1, Sigmoid, Tanh, Mul, Add for each step."""

    name: ClassVar[str] = "recurrent"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("LSTM", "GRU", "RNN")
    doubtful: bool = False

    def match(self, node: Node, context: Context) -> Match[Plan] | Refusal | None:
        cell = recurrence.read(node)
        if cell is None:
            return Refusal("the shape of its input or weights is not static", (node,))
        if isinstance(cell, str):
            return Refusal(cell, (node,))
        dear = _dear(node, cell, context)
        if dear:
            return Refusal(dear, (node,))
        both = " in both directions" if cell.directions == 2 else ""
        return Match(
            (node,),
            Plan(cell, _turns(cell, context, self.doubtful)),
            f"{cell.steps} steps of {cell.hidden} units{both}",
        )

    def apply(self, match: Match[Plan], edit: Editor) -> None:
        unrolling.unroll(edit, match.facts.cell, stacked=match.facts.stacked)


def _dear(node: Node, cell: recurrence.Cell, context: Context) -> str:
    """Why the layers do not fit the growth budget; all cells of the model together or none, as they feed each other."""
    if context.budget is None:
        return ""
    cells = (recurrence.read(n) for n in context.model.standard("LSTM", "GRU", "RNN") if n is not node)
    layers = unrolling.layers(cell)
    total = layers + sum(unrolling.layers(c) for c in cells if isinstance(c, recurrence.Cell))
    if total <= context.budget.layers:
        return ""
    whole = f" ({total:,} with those of the other recurrent nodes)" if total > layers else ""
    left = f"{max(context.budget.layers, 0):,} are left of the growth budget (--max-growth-layers)"
    return f"its {cell.steps} steps would be about {layers:,} layers{whole}; {left}"


def _turns(cell: recurrence.Cell, context: Context, doubtful: bool) -> bool:
    """Whether the target takes the Reshape that turns channels into steps."""
    kind = view.dtype(cell.node.inputs[0]) or np.float32
    stack = Variable("stack", kind, [cell.batch, 2 * cell.hidden, 1, 1])
    form = Constant("shape", np.asarray([cell.batch, 2, cell.hidden, 1], dtype=np.int64))
    return context.allows("Reshape", [stack, form], doubtful=doubtful)
