"""SpaceToDepth becomes a strided Conv, or part of the Conv that reads it.

What it does: SpaceToDepth(b) -> Conv with kernel = stride = b and one-hot weights; so does a chain of Reshapes and
    Transposes that moves the pixels of blocks into channels, in whatever order (pixel unshuffle, reorganization). Where
    one Conv (group 1, dilation 1) is all that reads the result, its weights take the patches in: kernel k -> b k,
    stride s -> b s, pads p -> b p.
Law: output channel (row, column, c) is pixel (row, column) of channel c's block; the merged Conv multiplies the same
    pairs. Cost: merged, not one MAC is added; one-hot, b^2 C for each output element, so merging always comes first.
Numerics: ROUNDING - a merged Conv sums in another order; the one-hot Conv is exact.
Scales: the patches inherit the scale of x.
Fires: on a SpaceToDepth of a static [N, C, H, W] with a block up to 8, and on such a chain.
Refuses: a block whose Conv the target refuses (stride over 8).
Source: ONNX SpaceToDepth (opset 1, 13); NODLA, CONV-STRIDE, CONV-KERNEL.
Example: Conv(SpaceToDepth(x[1,3,64,64]; 2), w[32,12,3,3]; pads 1) -> Conv(x, w'[32,3,6,6]; strides 2, pads 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, patches, view


@dataclass(frozen=True)
class Cut:
    """What is cut, the tensor of the patches, the patches, and the Conv that takes them in or None."""

    source: Tensor
    output: Tensor
    cut: patches.Patches
    reader: patches.Reader | None


@dataclass(frozen=True)
class SpaceToDepth(Pass[Cut]):
    """SpaceToDepth -> strided one-hot Conv, merged into the Conv behind it where possible."""

    name: ClassVar[str] = "space-to-depth"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("SpaceToDepth", "Reshape")

    def match(self, node: Node, context: Context) -> Match[Cut] | Refusal | None:
        written = _operator(node) if node.op == "SpaceToDepth" else patches.written_out(node, context)
        if written is None or not view.is_float(written.source):
            return None
        nodes, source, output, cut = written.nodes, written.source, written.output, written.patches
        reader = patches.reader(context, source, output, cut)
        if reader is not None:
            return Match((*nodes, reader.node), Cut(source, output, cut, reader), f"into {view.label(reader.node)}")
        size = cut.block[0] if cut.block[0] == cut.block[1] else cut.block
        if not patches.takes(context, source, cut):
            return Refusal(f"the target refuses a one-hot Conv with kernel and stride {size}", nodes)
        return Match(nodes, Cut(source, output, cut, None), f"block {size}")

    def apply(self, match: Match[Cut], edit: Editor) -> None:
        facts = match.facts
        patches.emit(edit, facts.source, facts.output, facts.cut, facts.reader)


def _operator(node: Node) -> patches.Written | None:
    """What the operator says, in the same terms."""
    dims, block = view.shape(node.inputs[0]), int(view.attr(node, "blocksize", 1))
    if dims is None or len(dims) != 4:
        return None
    cut = patches.Patches((block, block), tuple((r, c) for r in range(block) for c in range(block)))
    return patches.Written((node,), node.inputs[0], node.outputs[0], cut)
