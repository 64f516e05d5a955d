"""Softmax over two channels becomes a Sigmoid of their difference, where the target has no Softmax.

What it does: Softmax over C = 2 of an NCHW tensor -> 1x1 Conv with weights [[1, -1], [-1, 1]], Sigmoid.
Law: e^a / (e^a + e^b) = 1 / (1 + e^(b - a)).
Numerics: ROUNDING - the same function by other operations.
Scales: the differences have twice the scale of the input, the result 1/127 (Q-SIGMOID).
Fires: on float tensors of rank 4 with two channels, opset 13 or newer, where the Softmax runs on the GPU for certain.
Refuses: more than two channels: their exponentials have no sum that the DLA can divide by.
Source: ONNX Softmax; SMAX-ORIN, ACT-SIG.
Example: Softmax([1, 2, H, W], axis 1) -> Sigmoid(Conv 1x1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Verdict, convolve, view


@dataclass(frozen=True)
class SoftmaxPair(Pass[None]):
    """Softmax over two channels -> Sigmoid of their difference."""

    name: ClassVar[str] = "softmax-pair"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Softmax",)

    def match(self, node: Node, context: Context) -> Match[None] | Refusal | None:
        form = view.shape(node.inputs[0])
        if form is None or len(form) != 4 or not view.is_float(node.inputs[0]) or context.opset < 13:
            return None
        if view.axis(int(view.attr(node, "axis", -1)), 4) != 1 or context.verdict(node).verdict is Verdict.UNCERTAIN:
            return None
        if form[1] != 2:
            return Refusal(f"it goes over {form[1]} channels; two make a Sigmoid, more make no layer", (node,))
        return Match((node,), None)

    def apply(self, match: Match[None], edit: Editor) -> None:
        node = match.nodes[0]
        x = node.inputs[0]
        signs = np.asarray([[1, -1], [-1, 1]], dtype=view.dtype(x))[:, :, None, None]
        difference = convolve.convolve(edit, x, signs, None, hint=view.label(node), name="difference")
        edit.replace_uses(node.outputs[0], edit.op("Sigmoid", [difference]))
