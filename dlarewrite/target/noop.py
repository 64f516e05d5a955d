"""Nodes that provably change nothing; TensorRT drops them (inferred: it drops no-op shuffles)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dlarewrite.target.constness import value
from dlarewrite.target.facts import NodeView


def _same_shape(view: NodeView) -> bool:
    return view.xs is not None and view.xs == view.ys


def _transpose(view: NodeView) -> bool:
    """Same shape, and the dimensions larger than one stay in order."""
    if view.xs is None or view.xs != view.ys:
        return False
    rank = len(view.xs)
    perm = [int(p) for p in view.attr("perm", range(rank - 1, -1, -1))]
    moved = [p for p in perm if view.xs[p] != 1]
    return moved == sorted(moved)


def _slice(view: NodeView) -> bool:
    """Same shape and no negative step."""
    if not _same_shape(view):
        return False
    if view.opset < 10 or view.input(4) is None:
        return True
    steps = value(view.input(4))
    return steps is not None and bool((steps == 1).all())


def _pad(view: NodeView) -> bool:
    """Same shape and nothing but zero pads (a pad and a crop may keep the shape, too)."""
    if not _same_shape(view):
        return False
    if view.opset < 11:
        return not any(view.attr("pads", view.attr("paddings", ())))
    pads = value(view.input(1))
    return pads is not None and not pads.any()


def _cast(view: NodeView) -> bool:
    if view.x is None or view.y is None or view.x.dtype is None or view.y.dtype is None:
        return False
    return bool(view.x.dtype == view.y.dtype)


def _split(view: NodeView) -> bool:
    return len(view.node.outputs) == 1 and _same_shape(view)


NOOPS: Mapping[str, Callable[[NodeView], bool]] = MappingProxyType(
    {
        "Reshape": _same_shape,
        "Flatten": _same_shape,
        "Squeeze": _same_shape,
        "Unsqueeze": _same_shape,
        "Expand": _same_shape,
        "Tile": _same_shape,
        "Transpose": _transpose,
        "Slice": _slice,
        "Split": _split,
        "Pad": _pad,
        "Cast": _cast,
        "CastLike": _cast,
    }
)
