"""Linear half_pixel Resize by a factor that the DLA lacks becomes a nearest Resize and a box filter.

What it does: along each axis one of: a linear Resize up to x4 where the target has it; a chain of them (x6 = x3 x2);
    or nearest x s, then a depthwise Conv along that axis with the s weights 1/s (s odd) or the s + 1 weights 1/2s,
    1/s ... 1/s, 1/2s (s even), zero-padded by s // 2. A Mul by a constant map follows the last filter.
Law: let u[i] = x[i div s]. At offset r of a block, half_pixel interpolation gives the next element the weight (2r + 1
    - s) / 2s. A box of width s around i covers r - (s - 1)/2 elements of the next block, so s odd is exact; for s
    even the box of width s + 1 with halved ends covers r - s/2 + 1/2 of them, the same weight. A linear Resize by an
    odd factor samples every x exactly, and the function is straight in between: linear x s' of linear x s (s odd) is
    linear x s s'. Border: within s / 2 of it, the filter meets x[0] and padding only, and the clamped interpolation
    is x[0]; the zero-padded filter gives x[0] times the share of weights inside. The map is 1 over that share, the
    product of both axes', and 1 elsewhere. The matrix of the result is compared with the node's before any change.
    Cost for each output element: 2 (s + 1) MACs and one map; a ConvTranspose with kernel 2s and stride s would take 4
    C MACs without groups, a crop, and the same map: more from (s + 1) / 2 channels on, next to nothing below. Where an
    axis has several legal forms, the one that costs least is taken.
Numerics: ROUNDING - weights are folded and summed in another order.
Scales: all new tensors hold averages of x and inherit its scale; near the border some are smaller before the map.
Fires: on a Resize of [N, C, H, W] with whole ratios whose matrices are linear half_pixel or nearest ones.
Refuses: a factor above 31 that is no product of native ones (align-corners-linear takes it).
Source: ONNX Resize (opset 11, 13, 18, 19); RSZ-LIN, RSZ-LIN-MODE, CONV-KERNEL, CONV-PAD, EW-CONST.
Example: Resize(x[1,19,32,64], scales [1,1,8,8]; linear) -> Mul(Conv(Resize(Conv(Resize(x, 8x1), 9x1), 1x8), 1x9), map)
"""

from __future__ import annotations

import itertools
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
    forms,
    sampling,
    spatial,
)

_NATIVE = 4


@dataclass(frozen=True)
class Line:
    """How one axis is enlarged: a chain of Resizes in one mode, then a filter (its weights) or none."""

    factors: tuple[int, ...]
    mode: str
    kernel: tuple[float, ...] = ()


@dataclass(frozen=True)
class LinearToDeconv(Pass[tuple[Line, Line]]):
    """Linear half_pixel Resize -> native linear Resizes, or nearest Resize, box filter and border map."""

    name: ClassVar[str] = "linear-to-deconv"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    def match(self, node: Node, context: Context) -> Match[tuple[Line, Line]] | Refusal | None:
        plane = sampling.plane(node, context)
        if plane is None or isinstance(plane, str):
            return None
        if all(sampling.nearest_factor(axis, matrix) for axis, matrix in plane.axes):
            return None
        if context.is_native(node):
            return None
        x, lines = node.inputs[0], []
        for place, (axis, matrix) in enumerate(plane.axes):
            if sampling.linear_factor(axis, matrix) is None and sampling.nearest_factor(axis, matrix) is None:
                return None
            line = _line(context, x, plane, place)
            if line is None:
                name = ("H", "W")[place]
                reason = f"{name} x {axis.ratio} is no product of native factors, and its filter is larger than 32"
                return Refusal(reason, (node,))
            lines.append(line)
        words = " and ".join(line.sentence or line.name for line in lines)
        return Match((node,), (lines[0].form, lines[1].form), words)

    def apply(self, match: Match[tuple[Line, Line]], edit: Editor) -> None:
        node, lines = match.nodes[0], match.facts
        x = node.inputs[0]
        if not any(line.kernel for line in lines) and lines[0].mode == lines[1].mode:
            # The stage that one axis lacks is the first, where the tensor is smallest.
            stages = itertools.zip_longest(lines[0].factors[::-1], lines[1].factors[::-1], fillvalue=1)
            for factors in reversed(list(stages)):
                x = spatial.resize(edit, x, factors, lines[0].mode)
            edit.replace_uses(node.outputs[0], x)
            return
        last = max((place for place, line in enumerate(lines) if line.kernel), default=None)
        for place, line in enumerate(lines):
            x = _enlarge(edit, x, place, line)
            if place == last:
                # Later Resizes act on the other axis alone, so the map may come before them, where it is smaller.
                x = spatial.times_map(edit, x, 1.0 / _border(lines, int(x.shape[2]), int(x.shape[3])))
        edit.replace_uses(node.outputs[0], x)


def _line(context: Context, x: Tensor, plane: sampling.Plane, place: int) -> choice.Choice[Line] | None:
    """The cheapest way to enlarge H (place 0) or W (place 1), checked against the axis's matrix; None for none."""
    axis, matrix = plane.axes[place]
    ratio = axis.ratio or 1
    before = spatial.like(x, (*x.shape[:2], plane.height.out if place else plane.height.size, plane.width.size))
    options = []
    repeats = forms.scale_factors(ratio)
    if repeats is not None:
        options.append(Line(repeats, "nearest"))
    options.append(Line(_linear_chain(ratio), "linear"))
    if repeats is not None and axis.size > 1 and 1 < ratio < forms.LARGEST_SCALE:
        options.append(Line(repeats, "nearest", _box(ratio)))
    found = []
    for line in options:
        if np.allclose(_matrix(line, axis.size), matrix, rtol=0, atol=1e-6) and _legal(context, before, place, line):
            cost = choice.measure(context, partial(_enlarge_whole, x=before, place=place, line=line))
            found.extend([choice.Candidate(line, _words(line), cost)] if cost is not None else [])
    return choice.choose(context, found) if found else None


def _linear_chain(ratio: int) -> tuple[int, ...]:
    """Factors of 3 first, because only linear Resizes by odd factors may be followed by another; then the rest."""
    found = []
    while ratio > _NATIVE and ratio % 3 == 0:
        found.append(3)
        ratio //= 3
    return (*found, ratio)


def _box(factor: int) -> tuple[float, ...]:
    if factor % 2:
        return (1.0 / factor,) * factor
    return (0.5 / factor, *(1.0 / factor,) * (factor - 1), 0.5 / factor)


def _share(line: Line, size: int) -> spatial.Values:
    """The sum of filter weights that lie inside, at each of ``size`` outputs."""
    return np.convolve(np.ones(size), line.kernel, mode="same") if line.kernel else np.ones(size)


def _border(lines: tuple[Line, Line], height: int, width: int) -> spatial.Values:
    """The share of both filters that lies inside, at each output."""
    return np.outer(_share(lines[0], height), _share(lines[1], width))


def _matrix(line: Line, size: int) -> spatial.Values:
    """[out, size] weights of the line, border map included."""
    found = np.eye(size)
    for factor in line.factors:
        step = sampling.nearest_matrix if line.mode == "nearest" else sampling.linear_matrix
        found = step(found.shape[0], factor) @ found
    if not line.kernel:
        return found
    blurred = np.stack([np.convolve(column, line.kernel, mode="same") for column in found.T], axis=1)
    return np.asarray(blurred / _share(line, found.shape[0])[:, None])


def _pair(place: int, value: int, other: int = 1) -> spatial.Pair:
    return (other, value) if place else (value, other)


def _legal(context: Context, x: Tensor, place: int, line: Line) -> bool:
    for factor in line.factors:
        if not spatial.takes_resize(context, x, _pair(place, factor), line.mode):
            return False
        height, width = _pair(place, factor)
        x = spatial.like(x, (*x.shape[:2], x.shape[2] * height, x.shape[3] * width))
    return not line.kernel or spatial.takes_depthwise(context, x, _pair(place, len(line.kernel)))


def _enlarge(edit: Editor, x: Tensor, place: int, line: Line) -> Tensor:
    for factor in line.factors:
        x = spatial.resize(edit, x, _pair(place, factor), line.mode)
    if not line.kernel:
        return x
    reach = _pair(place, len(line.kernel) // 2, 0)
    kernel = np.asarray(line.kernel).reshape(_pair(place, len(line.kernel)))
    return forms.depthwise(edit, x, kernel, pads=(*reach, *reach))


def _enlarge_whole(edit: Editor, x: Tensor, place: int, line: Line) -> Tensor:
    """With a border map of its own, for its cost."""
    x = _enlarge(edit, x, place, line)
    return spatial.times_map(edit, x, np.ones([int(d) for d in x.shape[2:]])) if line.kernel else x


def _words(line: Line) -> str:
    if not line.factors:
        return "kept"
    chain = " ".join(f"x{factor}" for factor in line.factors)
    return f"{line.mode} {chain}" + (f" and {len(line.kernel)} taps" if line.kernel else "")
