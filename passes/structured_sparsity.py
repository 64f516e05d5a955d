"""Weights of convolutions become 2:4 sparse along their input channels, which halves their work on Orin's DLA.

What it does: in every four consecutive input channels of a Conv, for each output channel and tap, the two weights of
    smallest magnitude become zero. The detail says which share of the squared weights went.
Law: none; the network is another one. Train it on with these zeros kept.
Numerics: LOSSY - weights are set to zero.
Scales: all tensors and weights keep theirs.
Fires: only where lossy rewrites are allowed, for an Orin in INT8: on a Conv of more than 64 input channels and one
    group whose weights lose no more than ``loss`` of their squares: 5 % unless asked otherwise. Dense weights lose
    about 12 %, so that by itself the pass only cleans up what was trained to be sparse.
Refuses: weights that would lose more, with the figure; up to 64 input channels and groups, which the sparse units do
    not take; weights that are not constant.
Source: SP-HW, SP-24, SP-C64, SP-MEM, SP-FLAG; build with SPARSE_WEIGHTS.
Example: Conv(x, W[32, 128, 3, 3]) -> Conv(x, W with two of four zero)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, sparsity, view

_CHANNELS = 64


@dataclass(frozen=True)
class StructuredSparsity(Pass[None]):
    """Conv with C > 64 -> the same with two of four weights zero along C."""

    name: ClassVar[str] = "structured-sparsity"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    bound: ClassVar[str] = "no bound on the outputs; each Conv loses at most 5 % of its squared weights (option loss)"
    phase: ClassVar[Phase] = Phase.FINISH
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)
    loss: float = 0.05

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        if not context.target.profile.orin or context.target.precision.value != "int8":
            return None
        weight, form = view.input_at(node, 1), view.shape(view.input_at(node, 1))
        if form is None or len(form) != 4 or not view.is_float(weight) or not context.is_native(node):
            return None
        group = int(view.attr(node, "group", 1))
        if group != 1:
            return None if form[1] == 1 else Refusal(f"it has {group} groups; sparse units take one", (node,))
        if form[1] <= _CHANNELS:
            return Refusal(f"it has {form[1]} input channels; sparse units take more than {_CHANNELS}", (node,))
        values = view.constant_value(weight)
        if values is None:
            return Refusal("its weights are not constant", (node,))
        if sparsity.is_2_4(values):
            return None
        lost = sparsity.energy_lost(values)
        if lost > self.loss:
            reason = f"it would lose {lost:.1%} of its squared weights; {self.loss:.1%} is the most (option loss)"
            return Refusal(reason, (node,))
        return Match((node,), None, f"{lost:.2%} of the squared weights lost")

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        weight = node.inputs[1]
        values = view.constant_value(weight)
        if values is not None:
            edit.set_input(node, 1, edit.constant(sparsity.prune_2_4(values), str(weight.name)))
