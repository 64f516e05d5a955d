"""Resize that enlarges becomes a nearest Resize: another function, close to it.

What it does: linear or shifted nearest Resize by whole factors -> nearest (asymmetric, floor) by the same factors;
    with `smooth`, a depthwise box filter and a border map behind it (see linear-to-deconv).
Law: none; it is the advice of NVIDIA's DLA FAQ for networks that are trained again or can bear it.
Numerics: LOSSY - every output of either function is an average of elements of x with weights from 0 to 1, so they
    differ by at most max(x) - min(x) of the channel; where x changes slowly, by what two neighbouring elements
    differ.
Scales: all new tensors inherit the scale of x.
Fires: on a Resize or Upsample of [N, C, H, W] by whole factors (primes up to 32) that no exact rewrite has taken.
Refuses: cubic Resize, which overshoots; ratios that are not whole; a region of interest that is used.
Source: ONNX Resize (opset 10, 11, 13, 18, 19), Upsample (7, 9); RSZ-LIN-MODE, RSZ-NEAR; DLA software FAQ
    (PointPillars).
Example: Resize(x[1,64,16,16], scales [1,1,2,2]; linear, align_corners) -> Resize(x, scales [1,1,2,2]; nearest)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, forms, sampling, spatial


@dataclass(frozen=True)
class ResizeToNearest(Pass[spatial.Pair]):
    """Resize that enlarges by whole factors -> nearest Resize, smoothed on request."""

    name: ClassVar[str] = "resize-to-nearest"
    numerics: ClassVar[Numerics] = Numerics.LOSSY
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")
    after: ClassVar[tuple[str, ...]] = ("align-corners-linear", "linear-to-deconv", "resize-mode", "nearest-cascade")
    bound: ClassVar[str] = "|error| <= max(x) - min(x) over a channel of the resized tensor x, for any finite x"
    smooth: bool = False

    def match(self, node: Node, context: Context) -> Match[spatial.Pair] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None:
            return None
        if isinstance(plane, str):
            return Refusal(plane, (node,))
        factors = (plane.height.ratio, plane.width.ratio)
        if not factors[0] or not factors[1]:
            return Refusal(f"the ratio of {plane.words} is not whole", (node,))
        if factors == (1, 1):
            return None
        if plane.sampling.mode == "cubic":
            return Refusal("cubic interpolation overshoots its elements, and the stated bound does not hold", (node,))
        if forms.scale_factors(factors[0]) is None or forms.scale_factors(factors[1]) is None:
            return Refusal(f"{factors[0]} x {factors[1]} has a prime factor above {forms.LARGEST_SCALE}", (node,))
        return Match((node,), (factors[0], factors[1]), f"{factors[0]} x {factors[1]}")

    def apply(self, match: Match[spatial.Pair], edit: Editor) -> None:
        node, factors = match.nodes[0], match.facts
        x = forms.repeat_pixels(edit, node.inputs[0], *factors)
        if self.smooth and max(factors) < forms.LARGEST_SCALE:
            boxes = [np.ones(factor | 1) / (factor | 1) for factor in factors]
            reach = [box.size // 2 for box in boxes]
            shares = [_inside(int(size), box.size) / box.size for size, box in zip(x.shape[2:], boxes, strict=True)]
            x = forms.depthwise(edit, x, np.outer(*boxes), pads=[*reach, *reach])
            x = spatial.times_map(edit, x, 1.0 / np.outer(*shares))
        edit.replace_uses(node.outputs[0], x)


def _inside(size: int, window: int) -> spatial.Values:
    """How many elements of a window around each of ``size`` elements lie inside."""
    at = np.arange(size)
    return np.asarray(np.minimum(at + window // 2, size - 1) - np.maximum(at - window // 2, 0) + 1)
