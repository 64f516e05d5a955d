"""Data movement in operators that the DLA has: convolutions with one-hot weights and nearest Resizes.

A convolution that multiplies one element by one and all others by zero copies that element: exact, as long as no
    element is infinite or not a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, axis, constant_value, dtype, input_at, ints, shape
from dlarewrite.rewrite import emit
from dlarewrite.rewrite.context import Context

NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
"""The nearest Resize that every target has."""

LARGEST_SCALE = 32
"""RSZ-NEAR: integer scales up to this; CONV-KERNEL has the same bound."""

LARGEST_STRIDE = 8
"""CONV-STRIDE."""


def selector(rows: Sequence[int], channels: int, kind: np.dtype[np.generic]) -> Array:
    """[len(rows), channels, 1, 1] weights: output channel i is input channel rows[i]."""
    weights = np.zeros((len(rows), channels, 1, 1), dtype=kind)
    weights[np.arange(len(rows)), np.asarray(rows, dtype=np.int64), 0, 0] = 1
    return weights


def pick_channels(edit: Editor, x: gs.Tensor, rows: Sequence[int]) -> gs.Variable:
    """Channels ``rows`` of an NCHW tensor, by a one-hot 1x1 Conv."""
    channels = _form(x)[1]
    weights = edit.constant(selector(rows, channels, _kind(x)), "selector")
    return edit.op("Conv", [x, weights], {"kernel_shape": [1, 1]})


def repeat_channel(edit: Editor, x: gs.Tensor, count: int) -> gs.Variable:
    """The one channel of an [N, 1, H, W] tensor ``count`` times, by a 1x1 Conv of ones."""
    weights = edit.constant(np.ones((count, 1, 1, 1), dtype=_kind(x)), "ones")
    return edit.op("Conv", [x, weights], {"kernel_shape": [1, 1]})


def depthwise(
    edit: Editor, x: gs.Tensor, kernel: Array, *, pads: Sequence[int] = (0, 0, 0, 0), strides: Sequence[int] = (1, 1)
) -> gs.Variable:
    """The same [kh, kw] kernel over each channel of an NCHW tensor."""
    channels = _form(x)[1]
    weights = np.broadcast_to(kernel.astype(_kind(x)), (channels, 1, *kernel.shape)).copy()
    attrs = {"kernel_shape": list(kernel.shape), "group": channels, "pads": list(pads), "strides": list(strides)}
    return edit.op("Conv", [x, edit.constant(weights, "taps")], attrs)


def scale_factors(scale: int) -> tuple[int, ...] | None:
    """The fewest integer scales of at most 32 whose product is ``scale``, smallest first: so the tensors between are.

    None where a prime is larger.
    """
    if scale <= LARGEST_SCALE:
        return (scale,) if scale > 1 else ()
    for factor in range(LARGEST_SCALE, 1, -1):
        if scale % factor == 0:
            rest = scale_factors(scale // factor)
            if rest is not None:
                return tuple(sorted((factor, *rest)))
    return None


def repeat_pixels(edit: Editor, x: gs.Tensor, height: int, width: int) -> gs.Tensor:
    """Each element ``height`` x ``width`` times, by a cascade of nearest Resizes; both need factors of at most 32."""
    tall, wide = scale_factors(height), scale_factors(width)
    if tall is None or wide is None:
        raise EditError(f"no integer scales of at most {LARGEST_SCALE} make {height} x {width}")
    stages = max(len(tall), len(wide))
    for tall_by, wide_by in zip((1,) * (stages - len(tall)) + tall, (1,) * (stages - len(wide)) + wide, strict=True):
        x = emit.resize(edit, x, [1, 1, tall_by, wide_by], dict(NEAREST))
    return x


def fill_plane(edit: Editor, x: gs.Tensor, height: int, width: int, *, slices: bool = True) -> gs.Tensor:
    """An NCHW tensor of which H or W is 1 repeated to ``height`` x ``width``.

    A size with a prime factor above 32 is overshot by the next that has none, and cut by a Slice; without ``slices``,
    by one-hot Convs.
    """
    _, _, rows, columns = _form(x)
    target = [height if rows == 1 else 1, width if columns == 1 else 1]
    scales = [reachable(n) for n in target]
    x = repeat_pixels(edit, x, *scales)
    cuts = [(axis, n) for axis, n, scale in zip((2, 3), target, scales, strict=True) if scale != n]
    if not cuts:
        return x
    if not slices:
        for where, size in cuts:
            x = crop(edit, x, where, 0, size)
        return x
    return emit.slice_(edit, x, [0] * len(cuts), [n for _, n in cuts], [axis for axis, _ in cuts])


def reachable(size: int) -> int:
    """The next size from ``size`` on that is a product of scales of at most 32."""
    while scale_factors(size) is None:
        size += 1
    return size


def crop(edit: Editor, x: gs.Tensor, where: int, first: int, end: int) -> gs.Tensor:
    """Elements ``first`` to ``end`` of axis H or W, by one-hot depthwise Convs: for targets that have no Slice there.

    Each Conv cuts up to 31 elements off: its kernel is longer than one by what it cuts, its one lies behind what it
    cuts off at the front.
    """
    size = _form(x)[where]
    while (first, end) != (0, size):
        front = min(first, LARGEST_SCALE - 1)
        back = min(size - end, LARGEST_SCALE - 1 - front)
        kernel = np.zeros(front + back + 1)
        kernel[front] = 1
        x = depthwise(edit, x, kernel.reshape(-1, 1) if where == 2 else kernel.reshape(1, -1))
        first, end, size = first - front, end - front, size - front - back
    return x


def strides_of(step: int) -> tuple[int, ...] | None:
    """The fewest strides of at most 8 whose product is the step; None where a prime factor is larger."""
    if step <= LARGEST_STRIDE:
        return (step,) if step > 1 else ()
    for factor in range(LARGEST_STRIDE, 1, -1):
        rest = strides_of(step // factor) if step % factor == 0 else None
        if rest is not None:
            return (factor, *rest)
    return None


def subsample(edit: Editor, x: gs.Tensor, rows: int, columns: int) -> gs.Tensor:
    """Every ``rows``-th row and ``columns``-th column from the first on, by strided depthwise Convs of one tap."""
    tall, wide = strides_of(rows), strides_of(columns)
    if tall is None or wide is None:
        raise EditError(f"no strides of at most {LARGEST_STRIDE} make steps of {rows} and {columns}")
    stages = max(len(tall), len(wide))
    for by in zip(tall + (1,) * (stages - len(tall)), wide + (1,) * (stages - len(wide)), strict=True):
        x = depthwise(edit, x, np.ones((1, 1)), strides=by)
    return x


def runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """The rows as half-open ranges of consecutive ones, in their order."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and found[-1][1] == row:
            found[-1] = (found[-1][0], row + 1)
        else:
            found.append((row, row + 1))
    return found


def takes_slices(context: Context, x: gs.Tensor, where: int = 1, *, doubtful: bool = False) -> bool:
    """Whether the target takes (``doubtful``: or might take) a Slice of step 1 along axis ``where`` of x."""
    end = _form(x)[where] - 1
    if context.opset < 10:
        return context.allows("Slice", [x], {"starts": [0], "ends": [end], "axes": [where]}, doubtful=doubtful)
    bounds = [gs.Constant(name, np.asarray([v], np.int64)) for name, v in (("start", 0), ("end", end), ("axis", where))]
    return context.allows("Slice", [x, *bounds], doubtful=doubtful)


def read_slice(node: gs.Node, opset: int) -> dict[int, slice] | None:
    """The Python slice of each axis that a Slice with constant bounds cuts; None where they are not constant."""
    form = shape(input_at(node, 0))
    if form is None:
        return None
    if opset < 10:
        starts, ends = ints(node, "starts"), ints(node, "ends")
        axes, steps = ints(node, "axes", tuple(range(len(starts)))), (1,) * len(starts)
    else:
        held = [constant_value(input_at(node, i)) for i in range(1, 5)]
        if held[0] is None or any(v is None and input_at(node, i) is not None for i, v in enumerate(held, 1)):
            return None
        lists = [None if v is None else tuple(int(n) for n in v.reshape(-1)) for v in held]
        starts, ends = lists[0] or (), lists[1] or ()
        axes, steps = lists[2] or tuple(range(len(starts))), lists[3] or (1,) * len(starts)
    found = {}
    for where, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = form[axis(where, len(form))]
        # A negative end below -size means "to the front", which Python writes as None.
        stop = None if step < 0 and end < -size else end
        found[axis(where, len(form))] = slice(start, stop, step)
    return found


def read_pad(node: gs.Node, opset: int) -> tuple[tuple[int, ...], float] | None:
    """The widths (all begins, then all ends.

    Negative cuts) and fill value of a Pad; None where they are not constant.
    """
    form = shape(input_at(node, 0))
    if form is None:
        return None
    if opset < 11:
        return ints(node, "pads"), float(node.attrs.get("value", 0.0))
    held = [constant_value(input_at(node, i)) for i in (1, 2, 3)]
    if held[0] is None or any(v is None and input_at(node, i) is not None for i, v in enumerate(held, 1)):
        return None
    widths = [int(v) for v in held[0].reshape(-1)]
    value = 0.0 if held[1] is None or not held[1].size else float(held[1].reshape(-1)[0])
    if held[2] is None:
        return tuple(widths), value
    full = [0] * (2 * len(form))
    for i, where in enumerate(int(v) for v in held[2].reshape(-1)):
        place = axis(where, len(form))
        full[place], full[place + len(form)] = widths[i], widths[i + len(widths) // 2]
    return tuple(full), value


def _form(x: gs.Tensor) -> tuple[int, ...]:
    form = shape(x)
    if form is None or len(form) != 4:
        raise EditError(f"tensor {x.name!r} has shape {x.shape}, not a static [N, C, H, W]")
    return form


def _kind(x: gs.Tensor) -> np.dtype[np.generic]:
    return dtype(x) or np.dtype(np.float32)
