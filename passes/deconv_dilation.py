"""ConvTranspose with dilation becomes one whose kernel holds the zeros.

What it does: ConvTranspose(dilations d) -> ConvTranspose(dilations 1) with d - 1 zeros between the kernel's elements;
    groups, pads and output_padding become what deconv-groups and deconv-pads make of them in the same step, because a
    target that refuses dilation refuses those too.
Law: w'[d t] = w[t] and 0 elsewhere; the MACs grow by about the product of the dilations.
Numerics: ROUNDING - with groups the sums may be taken in another order (see deconv-groups); exact otherwise.
Scales: an uncropped output inherits the scale of the node's output.
Fires: on a ConvTranspose of two spatial axes with a dilation other than 1.
Refuses: a kernel that the target refuses once its zeros are counted (over 32).
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-DIL, DECONV-KERNEL.
Example: ConvTranspose(x, w[8,4,3,3]; dilations 2) -> ConvTranspose(x, w'[8,4,5,5])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, deconv


@dataclass(frozen=True)
class DeconvDilation(Pass[deconv.Plan]):
    """Dilated ConvTranspose -> an undilated one with zeros in the kernel."""

    name: ClassVar[str] = "deconv-dilation"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[deconv.Plan] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str):
            return None
        if found.dilations == (1, 1):
            return None
        plan = deconv.plan(context, node.inputs[0], found.undilated().widened())
        return Refusal(plan, (node,)) if isinstance(plan, str) else Match((node,), plan, plan.detail)

    def apply(self, match: Match[deconv.Plan], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], deconv.emit_plan(edit, node.inputs[0], match.facts))
