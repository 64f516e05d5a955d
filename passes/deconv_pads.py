"""ConvTranspose with pads becomes one without, and a crop.

What it does: ConvTranspose(pads, output_padding, auto_pad or output_shape) -> ConvTranspose(pads 0), then a Slice of
    H and W; in INT8 builds, and where there is no Slice, a depthwise one-hot Conv instead (two one-dimensional ones
    where that costs less), because the DLA slices in FP16 only. Output rows beyond the uncropped output hold the bias
    alone: the kernel gets as many zeros at that end.
Law: a ConvTranspose adds x[i] w[t] at stride i + t and its pads only crop what was added up; output_padding crops
    less at the end. One deconvolution and one crop of the border is the cheapest legal form: a Conv per output phase
    with a depth-to-space behind it would multiply the MACs by the channels.
Numerics: EXACT - the same sums; a one-hot convolution adds zeros.
Scales: the uncropped output inherits the scale of the node's output.
Fires: on a ConvTranspose of two spatial axes with group 1 and dilation 1 whose pads or output_padding are not all 0.
Refuses: weights that are computed at run time; a kernel that the target refuses without pads too (its zeros counted);
    a crop of 32 rows or more without Slice.
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-PAD, DECONV-OUTPAD, SLICE-FP16.
Example: ConvTranspose(x[1,8,16,16], w[8,4,4,4]; strides 2, pads 1) -> Slice(ConvTranspose(x, w; strides 2), 1:33, 1:33)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, deconv, spatial


@dataclass(frozen=True)
class DeconvPads(Pass[deconv.Plan]):
    """ConvTranspose pads and output_padding -> a crop of the output."""

    name: ClassVar[str] = "deconv-pads"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[deconv.Plan] | Refusal | None:
        found = deconv.read(node)
        if found is None:
            return None
        if isinstance(found, str):
            return Refusal(found, (node,))
        if context.is_native(node):
            return None
        if found.group > 1 or found.dilations != (1, 1) or not any((*found.begin, *found.end)):
            return None
        plan = deconv.plan(context, node.inputs[0], found.widened(), (node,))
        if isinstance(plan, str):
            return Refusal(plan, (node,))
        why = f": {plan.why}" if plan.why else ""
        return Match((node,), plan, f"crop {_sides(found.begin)} and {_sides(found.end)}{why}")

    def apply(self, match: Match[deconv.Plan], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], deconv.emit_plan(edit, node.inputs[0], match.facts))


def _sides(pair: spatial.Pair) -> str:
    return f"{pair[0]}x{pair[1]}"
