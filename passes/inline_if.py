"""An If whose condition is known is the branch that it runs.

What it does: an If of a constant condition -> the nodes of its then_branch or else_branch in the graph itself.
Law: the definition of the operator: the other branch is never run.
Numerics: EXACT - the same nodes.
Scales: the branch's results keep the If's names and scales.
Fires: where the condition is a constant, on any target; shapes that were frozen make it one, as in what exporters
    write for a Squeeze of a dimension whose size they did not know.
Refuses: a condition that depends on data; a branch that holds bodies, custom operators, or weights in other files; one
    whose results a reader may not have by its operator's rules, which the If had hidden.
Source: ONNX If (opset 1, 11, 13 and later).
Example: If(true; then: Squeeze(x, 3), else: Identity(x)) -> Squeeze(x, 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, branches, view


@dataclass(frozen=True)
class InlineIf(Pass[branches.Branch]):
    """If of a constant condition -> the branch that it runs."""

    name: ClassVar[str] = "inline-if"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("If",)

    def match(self, node: Node, context: Context) -> Match[branches.Branch] | Refusal | None:
        condition = view.constant_value(node.inputs[0])
        if condition is None or condition.size != 1:
            return Refusal(f"its condition {node.inputs[0].name!r} depends on data", (node,))
        runs = bool(condition.reshape(-1)[0])
        branch = branches.taken(node, runs, context.model)
        if isinstance(branch, str):
            return Refusal(branch, (node,))
        return Match((node,), branch, f"its {'then' if runs else 'else'}_branch")

    def apply(self, match: Match[branches.Branch], edit: Editor) -> None:
        branches.replace(edit, match.nodes[0], match.facts)
