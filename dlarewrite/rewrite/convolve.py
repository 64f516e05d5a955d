"""Two-dimensional convolutions taken apart: by kernel taps, by input channels, by output channels.

A convolution is a sum over its kernel's taps and over its input channels; each block of taps is a smaller convolution of a
shifted input. Shifting is cropping (Slice) and padding (of the convolution itself where it may, else by
:func:`shifted`); a block that reads nothing but padding is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, Window, constant_value, dtype, input_at, is_constant, label, shape, window
from dlarewrite.rewrite import emit, forms
from dlarewrite.rewrite.context import Context

LARGEST_PAD, LARGEST_KERNEL, LARGEST_STRIDE, LARGEST_DILATION = 31, 32, 8, 32
"""CONV-PAD, CONV-KERNEL, CONV-STRIDE, CONV-DIL."""

_SQUARE = 7
"""Up to this kernel size one pad convolution over both axes is cheaper than two over one each."""

Span = tuple[int, int]
"""Half-open range."""


@dataclass(frozen=True)
class Convolution:
    """A Conv over H and W with constant weights: its tensors, window and static shapes ([N, C, H, W], [M, C/g, kh, kw])."""

    node: gs.Node
    x: gs.Tensor
    weights: gs.Tensor
    bias: gs.Tensor | None
    window: Window
    data: tuple[int, ...]
    form: tuple[int, ...]
    out: tuple[int, ...]

    def values(self) -> Array:
        return np.asarray(constant_value(self.weights))


def read(node: gs.Node) -> Convolution | None:
    """The facts of a two-dimensional Conv with static shapes and constant weights and bias; None for any other node."""
    x, weights, bias = input_at(node, 0), input_at(node, 1), input_at(node, 2)
    data, form, out, found = shape(x), shape(weights), shape(node.outputs[0]), window(node)
    if node.op != "Conv" or x is None or weights is None or found is None or data is None or form is None or out is None:
        return None
    if len(data) != 4 or len(form) != 4 or 0 in out or not is_constant(weights) or is_constant(x):
        return None
    if bias is not None and not is_constant(bias):
        return None
    return Convolution(node, x, weights, bias, found, data, form, out)


@dataclass(frozen=True)
class Block:
    """Kernel rows and columns of one part, and how far its input is shifted: pads (or, negative, crops) per side."""

    rows: Span
    columns: Span
    top: int
    bottom: int
    left: int
    right: int


def blocks(conv: Convolution, rows: Iterable[Span], columns: Iterable[Span]) -> tuple[Block, ...]:
    """The parts of the kernel cut at ``rows`` x ``columns``; parts that read only padding are left out."""
    found = []
    columns = tuple(columns)
    for r in rows:
        top, bottom = _shift(conv, 0, r)
        for c in columns:
            left, right = _shift(conv, 1, c)
            block = Block(r, c, top, bottom, left, right)
            if -min(top, 0) - min(bottom, 0) < conv.data[2] and -min(left, 0) - min(right, 0) < conv.data[3]:
                found.append(block)
    return tuple(found)


def _shift(conv: Convolution, axis: int, span: Span) -> Span:
    w = conv.window
    return w.begin[axis] - span[0] * w.dilations[axis], w.end[axis] - (w.kernel[axis] - span[1]) * w.dilations[axis]


def spans(size: int, largest: int) -> tuple[Span, ...]:
    """``size`` cut into as few and as equal ranges of at most ``largest`` as can be."""
    count = -(-size // largest)
    cuts = [size * i // count for i in range(count + 1)]
    return tuple(zip(cuts[:-1], cuts[1:], strict=True))


def sum_of_blocks(edit: Editor, conv: Convolution, parts: Sequence[Block]) -> gs.Tensor:
    """The convolution as the sum of its parts; the bias goes with the first."""
    values = conv.values()
    total: gs.Tensor | None = None
    for block in parts:
        taps = values[:, :, block.rows[0] : block.rows[1], block.columns[0] : block.columns[1]]
        bias = conv.bias if total is None else None
        part = convolve_block(edit, conv, conv.x, taps, block, bias)
        total = part if total is None else edit.op("Add", [total, part], hint=label(conv.node))
    if total is None:
        raise ValueError("a convolution has at least one part")
    return total


def convolve_block(
    edit: Editor, conv: Convolution, x: gs.Tensor, taps: Array, block: Block, bias: gs.Tensor | None, group: int | None = None
) -> gs.Tensor:
    """One part: what the convolution may pad itself it pads, the rest is cropped or padded before."""
    wanted = (block.top, block.bottom, block.left, block.right)
    room = [min(LARGEST_PAD, k - 1) for k in (taps.shape[2], taps.shape[2], taps.shape[3], taps.shape[3])]
    own = [max(0, min(w, r)) for w, r in zip(wanted, room, strict=True)]
    x = shifted(edit, x, [w - o for w, o in zip(wanted, own, strict=True)])
    return convolve(
        edit,
        x,
        taps,
        bias,
        hint=label(conv.node),
        strides=conv.window.strides,
        dilations=tuple(d if k > 1 else 1 for d, k in zip(conv.window.dilations, taps.shape[2:], strict=True)),
        pads=(own[0], own[2], own[1], own[3]),
        group=conv.window.group if group is None else group,
        name=str(conv.weights.name),
    )


def convolve(
    edit: Editor,
    x: gs.Tensor,
    weights: Array,
    bias: gs.Tensor | None,
    *,
    hint: str,
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    group: int = 1,
    name: str = "weights",
) -> gs.Variable:
    """A Conv with new weights; ``pads`` in ONNX order (top, left, bottom, right)."""
    attrs = {
        "kernel_shape": [int(k) for k in weights.shape[2:]],
        "strides": list(strides),
        "dilations": list(dilations),
        "pads": list(pads),
        "group": group,
    }
    inputs = [x, edit.constant(np.ascontiguousarray(weights), name), *([bias] if bias is not None else [])]
    return edit.op("Conv", inputs, attrs, hint=hint)


def shifted(edit: Editor, x: gs.Tensor, pads: Sequence[int], largest: int = LARGEST_PAD) -> gs.Tensor:
    """x with zeros around it (top, bottom, left, right); negative numbers crop.

    Crops are one Slice. Zeros come from one-hot depthwise convolutions with kernel a + b + 1 and pads a + b on both sides, for
    a zeros before and b after: so every pad is smaller than its kernel. ``largest`` bounds a + b of one convolution.
    """
    form = shape(x)
    crops = [max(0, -p) for p in pads]
    if any(crops) and form is not None:
        axes = [a for a in (2, 3) if crops[2 * a - 4] or crops[2 * a - 3]]
        starts = [crops[2 * a - 4] for a in axes]
        x = emit.slice_(edit, x, starts, [form[a] - crops[2 * a - 3] for a in axes], axes)
    tall, wide = (_steps(max(0, pads[i]), max(0, pads[i + 1]), largest) for i in (0, 2))
    while tall and wide and sum(tall[-1]) < _SQUARE and sum(wide[-1]) < _SQUARE:
        x = _padded(edit, x, tall.pop(), wide.pop())
    for step in tall:
        x = _padded(edit, x, step, (0, 0))
    for step in wide:
        x = _padded(edit, x, (0, 0), step)
    return x


def _steps(before: int, after: int, largest: int) -> list[Span]:
    """Pads shared out over steps of at most ``largest`` in all each."""
    count = -(-(before + after) // largest)
    cuts = [(before * i // count, after * i // count) for i in range(count + 1)] if count else []
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    # Rounding may put one element too many into a step.
    return steps if all(sum(s) <= largest for s in steps) else _steps(before, after, largest - 1)


def _padded(edit: Editor, x: gs.Tensor, tall: Span, wide: Span) -> gs.Tensor:
    rows, columns = sum(tall), sum(wide)
    kernel = np.zeros((rows + 1, columns + 1))
    kernel[tall[1], wide[1]] = 1
    return forms.depthwise(edit, x, kernel, pads=(rows, columns, rows, columns))


def narrower(context: Context, x: gs.Tensor) -> int:
    """How wide the steps of :func:`shifted` may be on this target: a tall kernel on wide rows fills its buffer."""
    for largest in (LARGEST_PAD, 15, 7, 3):
        if _takes_pad(context, x, largest):
            return largest
    return 1


def _takes_pad(context: Context, x: gs.Tensor, size: int) -> bool:
    channels = (shape(x) or (1, 1))[1]
    weights = gs.Constant("taps", np.zeros((channels, 1, size + 1, 1), dtype=dtype(x) or np.float32))
    attrs = {"kernel_shape": [size + 1, 1], "group": channels, "pads": [size, 0, size, 0]}
    return context.allows("Conv", [x, weights], attrs)
