"""Networks that work channels-last are carried channels-first, and the Transposes between cancel.

What it does: operators between Transposes (element-wise ones, Concat, Slice, Split, Pad, Softmax, reductions) work on
    the NCHW tensor that holds the same elements, with their axes renamed; what is left of the Transposes stands at the
    borders.
Law: permuting the axes of all operands, and the axes that an operator names, permutes the axes of its result.
Numerics: EXACT - each operator does the same arithmetic on the same elements.
Scales: the NCHW tensor inherits the scale of the tensor that it stands for.
Fires: where fewer Transposes and Reshapes are left than before, or as many and an operator between them is refused only
    for its axes (a constant per channel at the end of NHWC).
Refuses: nothing; where no Transpose would go, it has no business.
Source: SHUF-EXIST, SHUF-BATCH; the way TensorFlow's exporters write channels-last networks.
Example: Transpose(NHWC), Relu, Concat(axis 3), Transpose(NCHW) -> Relu, Concat(axis 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import EXACT_RULES, MOVES, Context, Editor, Match, Node, Numerics, Pass, Refusal, region


@dataclass(frozen=True)
class TransposeSink(Pass[region.Region]):
    """Transposes cancelled through the operators between them."""

    name: ClassVar[str] = "transpose-sink"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Transpose",)

    def match(self, node: Node, context: Context) -> Match[region.Region] | Refusal | None:
        found = region.grow(node, context, EXACT_RULES)
        if found is None or found.borders > found.moves or found.first("Transpose") is not node:
            return None
        work = [n for n in found.nodes if n.op not in MOVES]
        if found.borders == found.moves and all(map(context.is_native, work)):
            return None
        left = f", {found.borders} left at the borders" if found.borders else ""
        return Match(found.nodes, found, f"{found.moves} Transposes and Reshapes around {found.work} nodes gone{left}")

    def apply(self, match: Match[region.Region], edit: Editor) -> None:
        region.move(match.facts, edit)
