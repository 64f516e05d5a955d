"""Resize in a mode that the DLA lacks becomes one that it has, where both read the same for these sizes.

What it does: Resize or Upsample -> nearest (asymmetric, floor) or linear (half_pixel) by whole scales; two of them,
    one for each axis, where H and W are equal to different ones.
Law: for given sizes a Resize is one constant matrix per axis; two modes with equal matrices are the same function. So
    half_pixel / round_prefer_* nearest is asymmetric / floor for whole ratios, pytorch_half_pixel is half_pixel for
    outputs larger than 1, and anything that enlarges a single row or column repeats it. Of several legal forms the
    cheapest is taken; a nearest one is also weighed against the ConvTranspose of nearest-to-deconv.
Numerics: EXACT - the same elements with the same weights.
Scales: a tensor between two Resizes inherits the scale of x.
Fires: on a Resize or Upsample of [N, C, H, W] with whole ratios up to 32 (nearest) or 4 (linear) and equal matrices.
Refuses: a nearest mode that reads other elements than asymmetric / floor, with the first one; a region of interest.
Source: ONNX Resize (opset 10, 11, 13, 18, 19), Upsample (7, 9); RSZ-NEAR-MODE, RSZ-NEAR-82, RSZ-LIN-MODE.
Example: Resize(x[1,8,1,1], sizes [1,8,16,16]; linear, align_corners) -> Resize(x, scales [1,1,16,16]; nearest)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from dlarewrite.api import (
    Context,
    Editor,
    Match,
    Node,
    Numerics,
    Pass,
    Refusal,
    Tensor,
    choice,
    deconv,
    sampling,
    spatial,
)


@dataclass(frozen=True)
class Step:
    """One Resize by whole factors."""

    factors: spatial.Pair
    mode: str


@dataclass(frozen=True)
class ResizeMode(Pass[tuple[Step, ...]]):
    """Resize in a refused mode or form -> the nearest or linear one that is equal for these sizes."""

    name: ClassVar[str] = "resize-mode"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    def match(self, node: Node, context: Context) -> Match[tuple[Step, ...]] | Refusal | None:
        plane = sampling.plane(node, context)
        if isinstance(plane, str):
            return Refusal(plane, (node,))
        if plane is None or (plane.height.size, plane.width.size) == (plane.height.out, plane.width.out):
            return None
        if context.is_native(node):
            return None
        chosen = _cheapest(node.inputs[0], plane, context)
        if chosen is None:
            return _near_miss(node, plane)
        return Match((node,), chosen.form, chosen.sentence or chosen.name)

    def apply(self, match: Match[tuple[Step, ...]], edit: Editor) -> None:
        node = match.nodes[0]
        edit.replace_uses(node.outputs[0], _resized(edit, node.inputs[0], match.facts))


def _resized(edit: Editor, x: Tensor, steps: tuple[Step, ...]) -> Tensor:
    for step in steps:
        x = spatial.resize(edit, x, step.factors, step.mode)
    return x


def _cheapest(x: Tensor, plane: sampling.Plane, context: Context) -> choice.Choice[tuple[Step, ...]] | None:
    """Of the forms in Resizes; a ConvTranspose as well has MACs besides, and is there to be compared only."""
    found: list[choice.Candidate[tuple[Step, ...]]] = []
    for steps in _options(plane):
        name = " then ".join(f"{s.mode} {s.factors[0]} x {s.factors[1]}" for s in steps)
        legal = all(spatial.takes_resize(context, x, step.factors, step.mode) for step in steps)
        cost = choice.measure(context, partial(_resized, x=x, steps=steps)) if legal else None
        if cost is not None:
            found.append(choice.Candidate(steps, name, cost))
    if not found:
        return None
    first, factors = found[0], found[0].form[0].factors
    if len(first.form) == 1 and first.form[0].mode == "nearest":
        channels = int(x.shape[1])
        if deconv.takes(context, x, channels, factors, factors):
            weights = channels * channels * math.prod(factors)
            work = math.prod(int(d) for d in x.shape) * channels * math.prod(factors)
            rival = choice.Cost(work, first.cost.moved, weights, 1)
            found.append(choice.Candidate(first.form, "ConvTranspose", rival))
    return choice.choose(context, found)


def _options(plane: sampling.Plane) -> list[tuple[Step, ...]]:
    nearest = [sampling.nearest_factor(axis, matrix) for axis, matrix in plane.axes]
    linear = [_linear_factor(plane, axis, matrix) for axis, matrix in plane.axes]
    options: list[tuple[Step, ...]] = []
    if nearest[0] and nearest[1]:
        options.append((Step((nearest[0], nearest[1]), "nearest"),))
    elif linear[0] and linear[1]:
        options.append((Step((linear[0], linear[1]), "linear"),))
    rows, columns = nearest[0] or linear[0], nearest[1] or linear[1]
    if rows and columns and not all(nearest):
        first = Step((rows, 1), "nearest" if nearest[0] else "linear")
        options.append((first, Step((1, columns), "nearest" if nearest[1] else "linear")))
    return options


def _linear_factor(plane: sampling.Plane, axis: sampling.Axis, matrix: sampling.Matrix) -> int | None:
    """The factor of an axis that is linear half_pixel to the last bit."""
    # Filters that are normalised, and coordinates measured from the middle, are rounded on the way.
    if plane.sampling.antialias or plane.sampling.coordinates == "half_pixel_symmetric":
        return None
    ratio = axis.ratio
    return ratio if ratio and np.array_equal(matrix, sampling.linear_matrix(axis.size, ratio)) else None


def _near_miss(node: Node, plane: sampling.Plane) -> Refusal | None:
    if plane.sampling.mode != "nearest":
        return None
    for name, (axis, matrix) in zip(("row", "column"), plane.axes, strict=True):
        if axis.ratio and not sampling.nearest_factor(axis, matrix):
            reads = matrix.argmax(axis=1)
            first = int(np.flatnonzero(reads != np.arange(axis.out) // axis.ratio)[0])
            text = f"output {name} {first} reads input {name} {reads[first]}, not {first // axis.ratio}"
            return Refusal(f"{text} as every nearest mode of the DLA does", (node,))
    return None
