"""Sums over the axes of a channels-last tensor are taken over those of the channels-first one.

What it does: ReduceMean, ReduceSum, ReduceL1, ReduceL2 and ReduceSumSquare between Transposes, with all that stands
    beside them, work on the NCHW tensor that holds the same elements; the Transposes cancel.
Law: permuting the axes of an operand and the axes that are summed over permutes the axes that are left.
Numerics: ROUNDING - the same elements are added in another order.
Scales: the NCHW tensor inherits the scale of the tensor that it stands for.
Fires: where a sum lies behind a Transpose, and fewer Transposes and Reshapes are left than before, or as many and the
    sum is refused only for its axes.
Refuses: nothing; where no Transpose would go, it has no business.
Source: SHUF-EXIST, RED-AVG; the pools that TensorFlow's exporters write channels-last.
Example: Transpose(NHWC), ReduceMean(axes 1 2), Transpose(NCHW) -> ReduceMean(axes 2 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import EXACT_RULES, SUM_RULES, Context, Match, Node, Numerics, Refusal, RegionPass, Rules, region


@dataclass(frozen=True)
class TransposeSums(RegionPass):
    """Transposes cancelled through sums."""

    name: ClassVar[str] = "transpose-sums"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    rules: ClassVar[Rules] = {**EXACT_RULES, **SUM_RULES}
    anchors: ClassVar[tuple[str, ...]] = tuple(sorted(SUM_RULES))

    def concerns(self, node: Node) -> bool:
        return True

    def match(self, node: Node, context: Context) -> Match[region.Region] | Refusal | None:
        found = super().match(node, context)
        if not isinstance(found, Match):
            return None
        turned = found.facts.holds("Transpose") and found.facts.borders <= found.facts.moves
        return found if turned else None

    def detail(self, found: region.Region) -> str:
        left = f", {found.borders} left at the borders" if found.borders else ""
        return f"{found.moves} Transposes and Reshapes around {found.work} nodes gone{left}"
