"""Resize and its older forms."""

from __future__ import annotations

from dlarewrite.ir.view import axis
from dlarewrite.target.constness import value
from dlarewrite.target.facts import Layer, NodeView, ResizeFacts

_KINDS = {"nearest": "Resize.NEAREST", "linear": "Resize.LINEAR", "bilinear": "Resize.LINEAR", "cubic": "Resize.CUBIC"}


def resize(view: NodeView) -> tuple[Layer, ...]:
    """Resize and Upsample are a Resize; ``sizes`` become output dimensions, which the DLA does not take."""
    mode = view.attr("mode", "nearest")
    kind = _KINDS.get(mode, "Resize.CUBIC")
    if view.xs is None:
        return (Layer(kind, None),)
    rank = len(view.xs)
    old = view.op == "Upsample" or view.opset < 11
    coordinates = "asymmetric" if old else view.attr("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else view.attr("nearest_mode", "round_prefer_floor")
    given, scales = _scales(view, rank, old)
    antialias = bool(view.attr("antialias", 0))
    return (Layer(kind, ResizeFacts(view, rank, mode, coordinates, rounding, scales, given, antialias)),)


def _scales(view: NodeView, rank: int, old: bool) -> tuple[str, tuple[float, ...]]:
    """How the size is given ("scales", "sizes" or "unknown") and the scale of each dimension."""
    if "scales" in view.node.attrs:
        return "scales", tuple(float(s) for s in view.attr("scales"))
    if not old and view.input(3) is not None:
        return "sizes", ()
    held = value(view.input(1 if old else 2))
    if held is None:
        return "unknown", ()
    given = tuple(float(s) for s in held.reshape(-1))
    axes = view.attr("axes")
    if axes is None:
        return "scales", given
    scales = [1.0] * rank
    for where, factor in zip(axes, given, strict=True):
        scales[axis(int(where), rank)] = factor
    return "scales", tuple(scales)
