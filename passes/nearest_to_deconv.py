"""Nearest Resize becomes a ConvTranspose of ones.

What it does: nearest x s -> ConvTranspose with kernel = stride = s and weights 1 from each channel to itself.
Law: with kernel = stride every output belongs to one input: y[c, s i + a] = sum_k x[k, i] [k = c]. The DLA has no
    groups in ConvTranspose, so the form costs C MACs for each output element, and a nearest Resize costs none. It
    moves the same elements: it can never win a choice, so this fires only where the target refuses the Resize
    (resize-mode, before, says what was chosen against what), or where `prefer` asks for it.
Numerics: EXACT - a one-hot product adds zeros.
Scales: none are new.
Fires: on a Resize or Upsample of [N, C, H, W] that repeats whole elements (by its matrices), factors up to 32.
Refuses: a ConvTranspose that the target refuses (square factors of 23 to 32).
Source: ONNX ConvTranspose (opset 11, 22), Resize (opset 10, 11, 13, 18, 19); RSZ-NEAR, DECONV-KERNEL, DECONV-SQ23.
Example: Resize(x[1,8,16,16], scales [1,1,2,2]; nearest) -> ConvTranspose(x, w[8,8,2,2]; strides 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, deconv, forms, sampling, spatial


@dataclass(frozen=True)
class NearestToDeconv(Pass[spatial.Pair]):
    """Nearest Resize -> ConvTranspose with kernel = stride, where the target refuses the Resize."""

    name: ClassVar[str] = "nearest-to-deconv"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")
    prefer: bool = False

    def match(self, node: Node, context: Context) -> Match[spatial.Pair] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None or isinstance(plane, str):
            return None
        height, width = (sampling.nearest_factor(axis, matrix) for axis, matrix in plane.axes)
        if not height or not width or max(height, width) == 1 or max(height, width) > forms.LARGEST_SCALE:
            return None
        x, factors = node.inputs[0], (height, width)
        if not self.prefer and spatial.takes_resize(context, x, factors, "nearest"):
            return None
        if not deconv.takes(context, x, int(x.shape[1]), factors, factors):
            return Refusal(f"the target refuses a {height} x {width} ConvTranspose as well", (node,))
        return Match((node,), factors, f"{height} x {width}")

    def apply(self, match: Match[spatial.Pair], edit: Editor) -> None:
        node, factors = match.nodes[0], match.facts
        x = node.inputs[0]
        channels = int(x.shape[1])
        weights = np.eye(channels, dtype=np.float32)[:, :, None, None] * np.ones(factors, dtype=np.float32)
        edit.replace_uses(node.outputs[0], deconv.transpose_conv(edit, x, weights, factors))
