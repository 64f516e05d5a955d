"""Crops, whole-factor resizes and maps on [N, C, H, W], in the form that the target takes.

All of them act on H and W alone and treat the channels alike. Constants take the element type of the tensor they meet.
Forms that only some targets take are chosen in ``match`` (:func:`crop_form`, :func:`takes_resize`) and emitted later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.choice import Candidate, Choice, Cost, choose, measure
from dlarewrite.rewrite.context import Context

Pair = tuple[int, int]
Values = npt.NDArray[Any]

MAP_BYTES = 4 * 2**20
"""Maps of more bytes than this, counted over all channels, are kept once and spread over the channels by a Conv."""


def like(x: gs.Tensor, shape: tuple[int, ...]) -> gs.Variable:
    """A tensor of x's element type that is in no graph, for asking the target."""
    return gs.Variable("trial", dtype=x.dtype, shape=list(shape))


# ---- resize by whole factors ----


def takes_resize(context: Context, x: gs.Tensor, factors: Pair, mode: str) -> bool:
    """Whether the target takes ``resize(x, factors, mode)``; before opset 11 there is no linear half_pixel."""
    if factors == (1, 1):
        return True
    if mode == "linear" and context.opset < 11:
        return False
    op, inputs, attrs = _resize(context.opset, x, factors, mode, lambda v, hint: gs.Constant(hint, v))
    return context.allows(op, inputs, attrs)


def resize(edit: Editor, x: gs.Tensor, factors: Pair, mode: str = "nearest") -> gs.Tensor:
    """Nearest (asymmetric, floor) or linear (half_pixel) Resize of H and W by whole factors; x itself for 1 x 1."""
    if factors == (1, 1):
        return x
    op, inputs, attrs = _resize(edit.model.opset, x, factors, mode, edit.constant)
    return edit.op(op, inputs, attrs)


def _resize(
    opset: int, x: gs.Tensor, factors: Pair, mode: str, constant: Callable[[Values, str], gs.Constant]
) -> tuple[str, list[gs.Tensor | None], dict[str, Any]]:
    scales = np.asarray([1, 1, *factors], dtype=np.float32)
    if opset < 9:
        return "Upsample", [x], {"mode": mode, "scales": [float(s) for s in scales]}
    given = constant(scales, "scales")
    if opset < 11:
        return "Upsample" if opset < 10 else "Resize", [x, given], {"mode": mode}
    roi = constant(np.zeros(0, dtype=np.float32), "roi") if opset < 13 else None
    attrs = dict(forms.NEAREST) if mode == "nearest" else {"mode": mode, "coordinate_transformation_mode": "half_pixel"}
    return "Resize", [x, roi, given], attrs


# ---- filters and crops ----


def takes_depthwise(context: Context, x: gs.Tensor, size: Pair, strides: Pair = (1, 1)) -> bool:
    """Whether the target takes a depthwise Conv of x with a kernel of ``size``, padded by less than the kernel."""
    known = view.shape(x)
    if known is None or len(known) != 4:
        return False
    weights = np.broadcast_to(np.zeros((), dtype=view.dtype(x) or np.float32), (known[1], 1, *size))
    return context.allows("Conv", [x, gs.Constant("kernel", weights)], {"group": known[1], "strides": list(strides)})


def one_hot(size: Pair, at: Pair) -> Values:
    """A [kh, kw] kernel that picks one element."""
    kernel = np.zeros(size)
    kernel[at] = 1.0
    return kernel


def crop_form(context: Context, x: gs.Tensor, begin: Pair, end: Pair) -> str | None:
    """How the target crops x: "slice", "select" (a one-hot depthwise Conv: Slice is FP16 only), or None."""
    found = crop_choice(context, x, begin, end)
    return None if found is None else found.form


def crop_choice(context: Context, x: gs.Tensor, begin: Pair, end: Pair) -> Choice[str] | None:
    """The cheapest form of :func:`crop` that the target takes for x, with its cost."""
    if not any((*begin, *end)):
        return Choice("slice", "no crop", Cost(), "")
    names = {"slice": "crop by Slice"}
    if max(b + e for b, e in zip(begin, end, strict=True)) < forms.LARGEST_SCALE:
        names["select"] = "one-hot Conv"
    found = []
    for form, name in names.items():
        cost = measure(context, partial(crop, x=x, begin=begin, end=end, form=form))
        if cost is not None and not cost.refused:
            found.append(Candidate(form, name, cost))
    return choose(context, found) if found else None


def crop(edit: Editor, x: gs.Tensor, begin: Pair, end: Pair, form: str) -> gs.Tensor:
    """x without ``begin`` rows and columns before and ``end`` after, in a form from :func:`crop_form`."""
    axes = [a for a in (0, 1) if begin[a] or end[a]]
    if not axes:
        return x
    if form == "slice":
        sizes = view.shape(x)
        last = [sizes[a + 2] - end[a] if sizes else -end[a] or 2**31 - 1 for a in axes]
        return emit.slice_(edit, x, [begin[a] for a in axes], last, [a + 2 for a in axes])
    size = (begin[0] + end[0] + 1, begin[1] + end[1] + 1)
    if math.prod(size) <= 2 * sum(size):
        return forms.depthwise(edit, x, one_hot(size, begin))
    rows = forms.depthwise(edit, x, one_hot((size[0], 1), (begin[0], 0)))
    return forms.depthwise(edit, rows, one_hot((1, size[1]), (0, begin[1])))


# ---- maps ----


def times_map(edit: Editor, x: gs.Tensor, values: Values) -> gs.Variable:
    """x [N, C, H, W] times a constant [H, W] map, the same for all channels.

    A constant [1, C, H, W] is TensorRT's element-wise Scale. A [1, 1, H, W] constant would have to be broadcast, which
    no source promises. A large map is therefore kept once: it scales a one-channel tensor of ones that depends on x in
    name only (a 1x1 Conv with weights 0 and bias 1), and a 1x1 Conv of ones spreads it; that needs x to be finite.
    """
    kind = view.dtype(x) or np.dtype(np.float32)
    channels, rows, columns = (int(d) for d in x.shape[1:])
    plane = np.asarray(values, dtype=kind).reshape(1, 1, rows, columns)
    if channels == 1 or channels * rows * columns * kind.itemsize <= MAP_BYTES:
        full = np.ascontiguousarray(np.broadcast_to(plane, (1, channels, rows, columns)))
        return edit.op("Mul", [x, edit.constant(full, "map")])
    zeros = edit.constant(np.zeros((1, channels, 1, 1), dtype=kind), "zeros")
    ones = edit.op("Conv", [x, zeros, edit.constant(np.ones(1, dtype=kind), "one")], {"kernel_shape": [1, 1]})
    scaled = edit.op("Mul", [ones, edit.constant(plane, "map")])
    spread = edit.constant(np.ones((channels, 1, 1, 1), dtype=kind), "ones")
    return edit.op("Mul", [x, edit.op("Conv", [scaled, spread], {"kernel_shape": [1, 1]})])
