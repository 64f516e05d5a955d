"""Concat, slices, pads, reshapes and transposes."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import axis, consumers, producer, shape
from dlarewrite.target.constness import value
from dlarewrite.target.facts import ConcatFacts, Layer, NodeView, PlainFacts, ShuffleFacts, SliceFacts


def concat(view: NodeView) -> tuple[Layer, ...]:
    """Concat is a Concatenation."""
    inputs = [t for t in view.node.inputs if t.name]
    out = view.ys
    shapes = [shape(t) for t in inputs]
    rank = len(out) if out is not None else next((len(s) for s in shapes if s is not None), 4)
    # Opset 1 to 3 had a default axis of 1; later the attribute is required.
    where = axis(int(view.attr("axis", 1)), rank)
    constants = sum(view.const.tensor(t) for t in inputs)
    spatial = tuple(s[-2:] for s in shapes if s is not None and where < rank - 2)
    return (Layer("Concatenation", ConcatFacts(view, rank, where - rank, len(inputs), constants, spatial)),)


def slices(view: NodeView) -> tuple[Layer, ...]:
    """Slice is a Slice; starts, ends, axes and steps are attributes before opset 10."""
    if view.xs is None:
        return (Layer("Slice.STRICT_BOUNDS", None),)
    rank = len(view.xs)
    if view.opset < 10:
        count = len(view.attr("starts", ()))
        axes = tuple(axis(int(a), rank) for a in view.attr("axes", range(count)))
        return (Layer("Slice.STRICT_BOUNDS", SliceFacts(view, rank, _cut(view, axes), (1,) * count, True, "")),)
    known = all(view.const.tensor(view.input(i)) for i in range(1, 5) if view.input(i) is not None)
    starts, held_axes, held_steps = value(view.input(1)), value(view.input(3)), value(view.input(4))
    if view.input(3) is None:
        axes = tuple(range(starts.size)) if starts is not None else ()
    else:
        axes = tuple(axis(int(a), rank) for a in held_axes.reshape(-1)) if held_axes is not None else ()
    steps = tuple(int(s) for s in held_steps.reshape(-1)) if held_steps is not None else (1,) * len(axes)
    if view.ys is not None and len(view.ys) == rank:
        return (Layer("Slice.STRICT_BOUNDS", SliceFacts(view, rank, _cut(view, tuple(range(rank))), steps, known, "")),)
    return (Layer("Slice.STRICT_BOUNDS", SliceFacts(view, rank, axes, steps, known, "")),)


def _cut(view: NodeView, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes whose size the slice changes, of those given."""
    if view.xs is None or view.ys is None or len(view.xs) != len(view.ys):
        return axes
    before, after = view.xs, view.ys
    return tuple(a for a in axes if before[a] != after[a])


def split(view: NodeView) -> tuple[Layer, ...]:
    """Split is one Slice per output."""
    if view.xs is None:
        return (Layer("Slice.STRICT_BOUNDS", None),)
    rank = len(view.xs)
    where = axis(int(view.attr("axis", 0)), rank)
    sizes = view.input(1)
    known = sizes is None or view.const.tensor(sizes)
    cut = (where,) if len(view.node.outputs) > 1 else ()
    return (Layer("Slice.STRICT_BOUNDS", SliceFacts(view, rank, cut, (1,), known, "")),)


def pad(view: NodeView) -> tuple[Layer, ...]:
    """Pad is a Slice that fills (constant), reflects or clamps."""
    mode = view.attr("mode", "constant")
    kind = "Slice.FILL" if mode == "constant" else "Slice.REFLECT" if mode in ("reflect", "wrap") else "Slice.CLAMP"
    if view.xs is None:
        return (Layer(kind, None),)
    rank = len(view.xs)
    known = view.opset < 11 or view.const.tensor(view.input(1))
    cut = _cut(view, tuple(range(rank))) if view.ys is not None else ()
    return (Layer(kind, SliceFacts(view, rank, cut, (1,), known, _fill(view))),)


def _fill(view: NodeView) -> str:
    """The fill value in words: "0", another number, or "unknown"."""
    if view.opset < 11:
        return f"{float(view.attr('value', 0.0)):g}"
    tensor = view.input(2)
    if tensor is None:
        return "0"
    held = value(tensor)
    return "unknown" if held is None else f"{float(held.reshape(-1)[0]):g}"


def reshape(view: NodeView) -> tuple[Layer, ...]:
    """Reshape is a Shuffle."""
    return (Layer("Shuffle.RESHAPE", _shuffle(view, ())),)


def transpose(view: NodeView) -> tuple[Layer, ...]:
    """Transpose is a Shuffle; without ``perm`` it turns the order of the axes round."""
    rank = len(view.xs) if view.xs is not None else 0
    perm = tuple(int(p) for p in view.attr("perm", range(rank - 1, -1, -1)))
    return (Layer("Shuffle.TRANSPOSE", _shuffle(view, perm)),)


def _shuffle(view: NodeView, perm: tuple[int, ...]) -> ShuffleFacts | None:
    if view.xs is None or view.ys is None:
        return None
    near = []
    made = producer(view.x)
    if made is not None:
        near.append(made.op)
    if view.y is not None:
        near.extend(_reader(view, node) for node in consumers(view.y))
    return ShuffleFacts(view, view.xs, view.ys, perm, tuple(near))


def _reader(view: NodeView, node: gs.Node) -> str:
    """The reader's operator; a matrix product only where its second operand is constant."""
    op: str = node.op
    if op in ("Gemm", "MatMul") and not view.const.tensor(node.inputs[1]):
        return f"{op} of activations"
    return op


_COMPARISONS = frozenset({"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})


def cast(view: NodeView) -> tuple[Layer, ...]:
    """Cast is a Cast; behind a comparison it is part of that comparison's form on the DLA."""
    made = producer(view.x)
    kind = "Cast.COMPARISON" if made is not None and made.op in _COMPARISONS else "Cast"
    return (Layer(kind, PlainFacts(view, len(view.xs) if view.xs is not None else 4)),)
