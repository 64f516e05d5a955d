"""Nearest Resize by more than 32 becomes a chain of nearest Resizes.

What it does: nearest x s -> nearest x f1, x f2, ... with s = f1 f2 ... and every factor at most 32, H and W together,
    the smallest first, so that the tensors between stay small. A single row or column whose factor has a prime above 32
    is repeated more often and then cropped, by the cheapest crop that the target takes.
Law: floor(floor(i / f2) / f1) = floor(i / (f1 f2)).
Numerics: EXACT - data movement.
Scales: the tensors between the Resizes inherit the scale of x.
Fires: on a Resize or Upsample of [N, C, H, W] that repeats whole elements (by its matrices, whatever its mode), with
    a factor above 32.
Refuses: a factor with a prime above 32, unless there is one row or column only.
Source: ONNX Resize (opset 10, 11, 13, 18, 19), Upsample (7, 9); RSZ-NEAR.
Example: Resize(x[1,256,1,1], sizes [1,256,32,64]; linear) -> Resize(Resize(x, [1,1,1,2]), [1,1,32,32]), both nearest
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, forms, sampling, spatial


@dataclass(frozen=True)
class Chain:
    """Whole factors of H and W, and what is cropped at the end of either."""

    factors: spatial.Pair
    end: spatial.Pair
    crop: str


@dataclass(frozen=True)
class NearestCascade(Pass[Chain]):
    """Nearest Resize by more than 32 -> nearest Resizes by at most 32."""

    name: ClassVar[str] = "nearest-cascade"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    def match(self, node: Node, context: Context) -> Match[Chain] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None or isinstance(plane, str):
            return None
        given = [sampling.nearest_factor(axis, matrix) for axis, matrix in plane.axes]
        if not given[0] or not given[1] or max(given[0], given[1]) <= forms.LARGEST_SCALE:
            return None
        factors = []
        for (axis, _), factor in zip(plane.axes, given, strict=True):
            if factor and forms.scale_factors(factor) is None and axis.size > 1:
                return Refusal(f"{factor} has a prime factor above {forms.LARGEST_SCALE}", (node,))
            factors.append(forms.reachable(factor or 1))
        x = node.inputs[0]
        full = (x.shape[0], x.shape[1], plane.height.size * factors[0], plane.width.size * factors[1])
        end = (full[2] - plane.height.out, full[3] - plane.width.out)
        crop = spatial.crop_choice(context, spatial.like(x, full), (0, 0), end)
        if crop is None:
            reason = f"the target cannot crop {full[2]} x {full[3]} to {plane.height.out} x {plane.width.out}"
            return Refusal(reason, (node,))
        steps = " and ".join("x".join(map(str, forms.scale_factors(f) or (1,))) for f in factors)
        return Match((node,), Chain((factors[0], factors[1]), end, crop.form), crop.detail(steps))

    def apply(self, match: Match[Chain], edit: Editor) -> None:
        node, chain = match.nodes[0], match.facts
        x = forms.repeat_pixels(edit, node.inputs[0], *chain.factors)
        edit.replace_uses(node.outputs[0], spatial.crop(edit, x, (0, 0), chain.end, chain.crop))
