"""ConvTranspose with stride 1 becomes the Conv that it is.

What it does: ConvTranspose(x, w; strides 1, pads b, e) -> Conv(x, w turned by 180 degrees, in and out channels
    swapped within each group; pads k - 1 - b and k - 1 - e). Dilation becomes zeros in the kernel.
Law: y[o] = sum_t x[o + b - t] w[t] = sum_u x[o - (k - 1 - b) + u] w[k - 1 - u]. A Conv has pads and groups on the
    DLA, so no crop and no dense kernel is needed; the MACs are those of the output, as many as before up to the
    border.
Numerics: ROUNDING - the products are summed in another order.
Scales: none are new; the output keeps its scale.
Fires: on a ConvTranspose of two spatial axes with stride 1 whose pads, groups, dilation or kernel the target refuses.
Refuses: a Conv that the target refuses (kernel over 32 with its zeros). One element without pads is deconv-overlap's.
Source: ONNX ConvTranspose (opset 1, 11, 22); DECONV-PAD, DECONV-GROUP, DECONV-DIL, DECONV-K=S, CONV-PAD.
Example: ConvTranspose(x, w[64,32,3,3]; pads 1) -> Conv(x, w'[32,64,3,3]; pads 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, deconv, view


@dataclass(frozen=True)
class Turn:
    """The Conv and its bias."""

    conv: deconv.Turned
    bias: Tensor | None


@dataclass(frozen=True)
class DeconvStrideOne(Pass[Turn]):
    """ConvTranspose with stride 1 -> Conv with the turned kernel."""

    name: ClassVar[str] = "deconv-stride-one"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("ConvTranspose",)

    def match(self, node: Node, context: Context) -> Match[Turn] | Refusal | None:
        found = deconv.read(node)
        if found is None or isinstance(found, str):
            return None
        if found.strides != (1, 1):
            return None
        plain = found.undilated()
        bare = not any((*plain.begin, *plain.end)) and plain.group == 1
        if bare and (view.shape(node.inputs[0]) or ())[2:] == (1, 1):
            # One element has no stride: deconv-overlap gives it the kernel's, at no more MACs.
            return None
        conv = deconv.turned(plain)
        if not deconv.takes_turned(context, node.inputs[0], conv, (1, 1)):
            height, width = conv.weights.shape[2:]
            return Refusal(f"the target refuses the {height} x {width} Conv that it would become", (node,))
        return Match((node,), Turn(conv, found.bias))

    def apply(self, match: Match[Turn], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], deconv.turned_conv(edit, node.inputs[0], match.facts.conv, match.facts.bias))
