"""ConvTranspose with groups becomes one without.

What it does: the cheapest of three forms that the target takes (MACs, elements moved, layers; the report says which
    against what). Dense: one ConvTranspose whose kernel holds
    zeros between the groups. Split: x sliced by channels into 2 to 8 parts, a dense ConvTranspose each, Concat.
    Spread: stride - 1 zeros behind each element of x (nearest Resize, then a 0/1 map), and a grouped Conv with the
    turned kernel. Pads and output_padding become a crop on the way (the spread form needs none).
Law: dense and split add products with zero; MACs are multiplied by groups / parts. Spread is the definition of the
    operator, y[o] = sum_u z[o - (k - 1 - b) + u] w[k - 1 - u] with z[stride i] = x[i] and 0 elsewhere; a Conv may
    have groups on the DLA; MACs are multiplied by the strides, so it wins for many groups (depthwise); dense is one
    layer and wins for small ones.
Numerics: ROUNDING - the spread form sums in another order.
Scales: parts and zeros inherit the scale of x, uncropped outputs that of the node's output.
Fires: on a ConvTranspose of two spatial axes with more than one group and dilation 1.
Refuses: a kernel that the target refuses in all forms.
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-GROUP, DECONV-PAD, CONV-GROUPS, SLICE-FP16.
Example: ConvTranspose(x, w[64,1,4,4]; group 64, strides 2, pads 1) -> Conv(Mul(Resize(x, 2), map), w'; group 64)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, deconv


@dataclass(frozen=True)
class DeconvGroups(Pass[deconv.Plan]):
    """Grouped ConvTranspose -> a dense one, a few with a Concat, or a grouped Conv over x spread by zeros."""

    name: ClassVar[str] = "deconv-groups"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[deconv.Plan] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str):
            return None
        if found.group == 1 or found.dilations != (1, 1) or context.is_native(node):
            return None
        plan = deconv.plan(context, node.inputs[0], found.widened(), (node,))
        return Refusal(plan, (node,)) if isinstance(plan, str) else Match((node,), plan, plan.detail)

    def apply(self, match: Match[deconv.Plan], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], deconv.emit_plan(edit, node.inputs[0], match.facts))
