"""Parts of the network that work on fewer or more than four dimensions are carried by rank-4 tensors.

What it does: element-wise operators, pools, BatchNormalizations, Concats, Slices, Splits, Softmaxes, reductions and
    Pads of rank 1 to 6 work on a rank-4 tensor that holds the same elements: [N, C, L] in [N, C, 1, L], [N, C] in [N,
    C, 1, 1]. Flatten, Reshape, Squeeze, Unsqueeze and Transpose between them are gone where no carrier axis is cut.
Law: a tensor's axes are groups of its carrier's axes; every operator acts on the same elements in the same way.
Numerics: EXACT - each operator does the same arithmetic on the same elements.
Scales: a carrier inherits the scale of the tensor that it carries.
Fires: where nodes of another rank than 4 are refused, shapes are static, and no more Reshapes and Transposes are left
    inside the model than there were; those at its inputs and outputs come on top.
Refuses: a part whose borders would need more Reshapes and Transposes than go.
Source: GEN-RANK, GEN-2D, EW-2D, CAT-4D, SLICE-4D, SHUF-4D, SHUF-FLAT.
Example: MaxPool([N, C, L], kernel 3) -> Reshape to [N, C, 1, L], MaxPool 1x3, Reshape back at the graph output
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import EXACT_RULES, MOVES, POOL_RULES, Node, Numerics, RegionPass, Rules, region, view


@dataclass(frozen=True)
class LiftTo4d(RegionPass):
    """Rank 1 to 6 -> rank 4, with the (un)squeezes pushed to the borders."""

    name: ClassVar[str] = "lift-to-4d"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    rules: ClassVar[Rules] = {**EXACT_RULES, **POOL_RULES}
    anchors: ClassVar[tuple[str, ...]] = tuple(sorted({*EXACT_RULES, *POOL_RULES} - MOVES))

    def concerns(self, node: Node) -> bool:
        return view.rank(node.outputs[0]) not in (None, 0, 4)

    def detail(self, found: region.Region) -> str:
        return f"{found.work} nodes to rank 4, {found.moves} Reshapes and Transposes gone"
