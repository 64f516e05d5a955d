"""Resize to sizes becomes Resize by scales.

What it does: Resize(x, sizes) with whole ratios -> Resize(x, scales [1, 1, h, w]) in the same mode. `axes` and
    keep_aspect_ratio_policy are resolved, and scales that are given for some axes only are given for all four.
Law: out = size x scale, and the elements that are read and their weights are compared as matrices for these sizes.
Numerics: EXACT - the same node with its size said in another way.
Scales: none are new.
Fires: on a Resize of [N, C, H, W] with constant sizes (or axes) whose ratios are whole, where the target then takes
    it.
Refuses: a ratio of H or W that is not whole; a region of interest that is used (tf_crop_and_resize).
Source: ONNX Resize (opset 11, 13, 18, 19); RSZ-SCALES, RSZ-NC.
Example: Resize(x[1,256,10,10], sizes [1,256,20,20]; nearest, asymmetric, floor) -> Resize(x, scales [1,1,2,2]; ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlarewrite.api import Constant, Context, Editor, Match, Node, Numerics, Pass, Refusal, sampling, view

_SIZE_ATTRIBUTES = ("axes", "keep_aspect_ratio_policy")


@dataclass(frozen=True)
class Factors:
    """Whole factors of H and W, and the attributes that stay."""

    height: int
    width: int
    attrs: dict[str, Any]

    @property
    def scales(self) -> list[float]:
        return [1.0, 1.0, float(self.height), float(self.width)]


@dataclass(frozen=True)
class ResizeSizesToScales(Pass[Factors]):
    """Resize with sizes (or with axes) -> Resize with four scales."""

    name: ClassVar[str] = "resize-sizes-to-scales"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Resize",)

    def match(self, node: Node, context: Context) -> Match[Factors] | Refusal | None:
        if context.opset < 11 or (view.input_at(node, 3) is None and view.attr(node, "axes") is None):
            return None
        plane = sampling.plane(node, context)
        if isinstance(plane, str):
            return Refusal(plane, (node,))
        if plane is None:
            return None
        height, width = plane.height.ratio, plane.width.ratio
        if not height or not width:
            return Refusal(f"the ratio of {plane.words} is not whole", (node,))
        attrs = {name: value for name, value in node.attrs.items() if name not in _SIZE_ATTRIBUTES}
        factors = Factors(height, width, attrs)
        inputs = [node.inputs[0], *_scales(context.opset, factors, lambda v, hint: Constant(hint, v))]
        if not _same(plane, factors) or not context.allows("Resize", inputs, attrs):
            return None
        return Match((node,), factors, f"{height} x {width}")

    def apply(self, match: Match[Factors], edit: Editor) -> None:
        node, factors = match.nodes[0], match.facts
        inputs = [node.inputs[0], *_scales(edit.model.opset, factors, edit.constant)]
        edit.replace_uses(node.outputs[0], edit.op("Resize", inputs, factors.attrs))


def _scales(opset: int, factors: Factors, constant: Any) -> list[Constant | None]:
    """The inputs roi and scales; roi may be left out from opset 13 on."""
    roi = constant(np.zeros(0, dtype=np.float32), "roi") if opset < 13 else None
    return [roi, constant(np.asarray(factors.scales, dtype=np.float32), "scales")]


def _same(plane: sampling.Plane, factors: Factors) -> bool:
    """Whether scales in place of sizes read the same elements."""
    for index, factor in ((2, factors.height), (3, factors.width)):
        axis = plane.sampling.axes[index]
        axes = list(plane.sampling.axes)
        axes[index] = sampling.Axis(axis.size, axis.out, float(factor))
        said = sampling.Sampling(**{**vars(plane.sampling), "axes": tuple(axes)}).matrix(index)
        if said is None or not np.array_equal(said, plane.axes[index - 2][1]):
            return False
    return True
