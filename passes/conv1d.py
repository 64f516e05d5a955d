"""Convolutions over one axis become convolutions over two, and the network around them comes along to rank 4.

What it does: Conv and ConvTranspose of [N, C, L] work on [N, C, 1, L] with 1 x k kernels; what stands around them
    (activations, pools, BatchNormalizations, Concats, Slices, Pads, ...) works on the same rank-4 tensors.
Law: a convolution whose second spatial axis has size 1 and kernel 1 is the convolution over the first.
Numerics: ROUNDING - the same sums, which onnxruntime may run in another order.
Scales: a carrier inherits the scale of the tensor that it carries; weights keep theirs per output channel.
Fires: on Conv and ConvTranspose with constant weights of rank 3 that the target refuses, any pads, strides, dilations,
    groups and auto_pad; static shapes.
Refuses: weights that are computed at run time; a part whose borders would need more Reshapes and Transposes than go.
Source: GEN-2D, CONV-2D, GEN-RANK.
Example: Conv([N, C, L], kernel 5) -> Reshape to [N, C, 1, L], Conv 1x5, Reshape back at the graph output
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import EXACT_RULES, SUM_RULES, WINDOW_RULES, Node, Numerics, RegionPass, Rules, region, view


@dataclass(frozen=True)
class Conv1d(RegionPass):
    """Conv of rank 3 -> Conv of rank 4 with H = 1."""

    name: ClassVar[str] = "conv1d"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv", "ConvTranspose")
    rules: ClassVar[Rules] = {**EXACT_RULES, **SUM_RULES, **WINDOW_RULES}

    def concerns(self, node: Node) -> bool:
        return view.rank(node.outputs[0]) == 3

    def obstacle(self, node: Node) -> str:
        fixed = all(view.is_constant(t) for t in node.inputs[1:] if t.name)
        return "" if fixed else "its weights are computed at run time"

    def missing(self, node: Node) -> str:
        if None in (view.shape(node.inputs[0]), view.shape(node.outputs[0])):
            return "the shapes around it are not static"
        return "no tensor of rank 4 can carry what stands around it"

    def detail(self, found: region.Region) -> str:
        return f"{found.work} nodes to rank 4, {found.moves} Reshapes and Transposes gone"
