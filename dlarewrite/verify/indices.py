"""What operators that take positions, sizes or shapes as tensors demand of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

from dlarewrite.verify.domain import Domain, fixed, whole
from dlarewrite.verify.facts import Use

FAR = 1 << 30
"""An end of a Slice that no axis reaches."""


def _length(use: Use) -> int | None:
    """How many elements a vector input has; 1 for a scalar."""
    shape = use.shape(use.index)
    return None if shape is None or None in shape else prod(size or 0 for size in shape)


def _gather(use: Use) -> Domain | None:
    size = use.size(0, use.attribute("axis", 0))
    return whole(0, (size or 1) - 1) if use.index == 1 else None


def _scatter_elements(use: Use) -> Domain | None:
    axis = use.attribute("axis", 0)
    size = use.size(0, axis)
    return Domain(0, (size or 1) - 1, whole=True, distinct_axis=axis) if use.index == 1 else None


def _nd(use: Use) -> Domain | None:
    data = use.shape(0)
    if use.index != 1 or data is None:
        return None
    batch = use.attribute("batch_dims", 0)
    width = use.size(1, -1) or len(data) - batch
    limits = tuple((size or 1) - 1 for size in data[batch : batch + width])
    return Domain(last_axis=limits, whole=True, distinct=use.op == "ScatterND")


def _one_hot(use: Use) -> Domain | None:
    if use.index > 1:
        return None
    if use.index == 1:
        out = use.out_shape()
        axis = use.attribute("axis", -1)
        return fixed(out[axis]) if out else fixed(4)
    depth = use.constant(1)
    return whole(0, int(depth.reshape(-1)[0]) - 1 if depth is not None else 3)


def _top_k(use: Use) -> Domain | None:
    out, axis = use.out_shape(), use.attribute("axis", -1)
    if use.index != 1:
        return None
    return fixed(out[axis]) if out else whole(1, min(use.size(0, axis) or 1, 4))


def _reshape(use: Use) -> Domain | None:
    out, data, length = use.out_shape(), use.shape(0), _length(use)
    if use.index != 1 or length is None:
        return None
    if out is not None and len(out) == length:
        return fixed(*out)
    known = [size for size in data or () if size is not None]
    same = bool(known) and len(known) == len(data or ()) == length
    return fixed(*(known if same else [-1] + [1] * (length - 1)))


def _expand(use: Use) -> Domain | None:
    length = _length(use)
    return fixed(*(use.out_shape() or [1] * length)) if use.index == 1 and length is not None else None


def _sizes(use: Use) -> Domain | None:
    """A shape that the output must have."""
    out = use.out_shape()
    return fixed(*out) if out else whole(1, 3)


def _tile(use: Use) -> Domain | None:
    data, out, length = use.shape(0), use.out_shape(), _length(use)
    if use.index != 1 or length is None:
        return None
    if out is not None and data is not None and None not in data and len(out) == len(data):
        return fixed(*(o // (d or 1) if d else 1 for o, d in zip(out, data, strict=True)))
    return whole(1, 2)


def _pad(use: Use) -> Domain | None:
    data, out, length = use.shape(0), use.out_shape(), _length(use)
    if use.index == 3:
        return fixed(*range(length or 0))
    if use.index != 1 or length is None:
        return None
    if out is not None and data is not None and len(data) * 2 == length == len(out) * 2 and None not in data:
        return fixed(*([o - (d or 0) for o, d in zip(out, data, strict=True)] + [0] * len(data)))
    return whole(0, 1)


def _slice(use: Use) -> Domain | None:
    length = _length(use)
    if use.index == 0 or length is None:
        return None
    axes = use.constant(3)
    which = list(range(length)) if axes is None else [int(axis) for axis in axes.reshape(-1)]
    out = use.out_shape()
    ends = [out[axis] if out and axis < len(out) else FAR for axis in which]
    return (fixed(*[0] * length), fixed(*ends), fixed(*range(length)), fixed(*[1] * length))[use.index - 1]


def _squeeze(use: Use) -> Domain | None:
    data, length = use.shape(0), _length(use)
    if use.index != 1 or data is None or length is None:
        return None
    return fixed(*[axis for axis, size in enumerate(data) if size == 1][:length])


def _first_axes(use: Use) -> Domain | None:
    """Axes to reduce, insert or accumulate over: the first ones, but the first that shrinks when it is known."""
    data, out, length = use.shape(0), use.out_shape(), _length(use)
    if use.index != 1 or length is None:
        return None
    if data is not None and out is not None and len(data) == len(out):
        shrinking = [axis for axis, (d, o) in enumerate(zip(data, out, strict=True)) if d != o and o == 1]
        ones = [axis for axis, (d, o) in enumerate(zip(data, out, strict=True)) if d == o == 1]
        if len(shrinking + ones) >= length:
            return fixed(*sorted((shrinking + ones)[:length]))
    return fixed(*range(length))


def _split(use: Use) -> Domain | None:
    axis, outputs = use.attribute("axis", 0), len(use.node.output)
    parts = [shape[axis] if (shape := use.out_shape(i)) else None for i in range(outputs)]
    size = use.size(0, axis)
    if use.index != 1:
        return None
    if None not in parts:
        return fixed(*[part or 0 for part in parts])
    return fixed(*[size // outputs] * (outputs - 1), size - size // outputs * (outputs - 1)) if size else None


def _first(use: Use) -> Domain | None:
    return fixed(0) if use.index else None


def _range(low: int, high: int, *indices: int) -> Callable[[Use], Domain | None]:
    return lambda use: whole(low, high) if use.index in indices else None


def _split_to_sequence(use: Use) -> Domain | None:
    size = use.size(0, use.attribute("axis", 0))
    length = _length(use) or 1
    if use.index != 1 or not use.shape(1):
        return fixed(1) if use.index == 1 else None
    return fixed(*[1] * (length - 1), size - length + 1) if size is not None and size >= length else None


def _first_write(use: Use) -> Domain | None:
    return whole(0, 0) if use.index == 2 else None


def _unpool(use: Use) -> Domain | None:
    out = use.out_shape()
    if use.index == 2:
        return fixed(*out) if out else None
    return whole(0, prod(out) - 1 if out else 3) if use.index == 1 else None


def _center_crop(use: Use) -> Domain | None:
    length, out = _length(use), use.out_shape()
    return None if use.index != 1 else fixed(*out) if out and len(out) == length else whole(1, 3)


def _only(index: int, demand: Callable[[Use], Domain | None]) -> Callable[[Use], Domain | None]:
    return lambda use: demand(use) if use.index == index else None


_REDUCTIONS = ("Max", "Min", "Mean", "Sum", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")

INDEX_DEMANDS: Mapping[str, Callable[[Use], Domain | None]] = MappingProxyType(
    {
        "Gather": _gather,
        "GatherElements": _gather,
        "Scatter": _scatter_elements,
        "ScatterElements": _scatter_elements,
        "GatherND": _nd,
        "ScatterND": _nd,
        "OneHot": _one_hot,
        "TopK": _top_k,
        "Reshape": _reshape,
        "Expand": _expand,
        "ConstantOfShape": _sizes,
        "AffineGrid": _only(1, _sizes),
        "CenterCropPad": _center_crop,
        "Tile": _tile,
        "Pad": _pad,
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Unsqueeze": _only(1, lambda use: fixed(*range(_length(use) or 0))),
        "CumSum": _first,
        "CumProd": _first,
        "Col2Im": _range(1, 2, 1, 2),
        "STFT": _range(4, 4, 1, 3),
        "TensorScatter": _first_write,
        "Split": _split,
        "SplitToSequence": _split_to_sequence,
        "SequenceAt": _first,
        "SequenceErase": _first,
        "SequenceInsert": _only(2, _first),
        "Trilu": _range(-1, 1, 1),
        "MaxUnpool": _unpool,
        "HannWindow": _range(4, 16, 0),
        "HammingWindow": _range(4, 16, 0),
        "BlackmanWindow": _range(4, 16, 0),
        "DFT": lambda use: (None, whole(1, 8), fixed(-2))[use.index],
        **{f"Reduce{kind}": _first_axes for kind in _REDUCTIONS},
    }
)
"""By operator, next to the demands on values."""
