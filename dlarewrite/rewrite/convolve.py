"""Two-dimensional convolutions taken apart: by kernel taps, by input channels, by output channels.

A convolution is a sum over its kernel's taps and over its input channels; each block of taps is a smaller convolution
of a shifted input. Shifting is cropping (Slice) and padding (of the convolution itself where it may, else by
:func:`shifted`); a block that reads nothing but padding is left out.
"""

from __future__ import annotations

import itertools
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
    """A Conv over H and W with constant weights.

    Its tensors, window and static shapes ([N, C, H, W], [M, C/g, kh, kw]).
    """

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
    if (
        node.op != "Conv"
        or x is None
        or weights is None
        or found is None
        or data is None
        or form is None
        or out is None
    ):
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

    @property
    def sides(self) -> tuple[int, int, int, int]:
        return self.top, self.bottom, self.left, self.right

    @property
    def own(self) -> tuple[int, ...]:
        """What the part's own convolution may pad: less than its kernel, and at most 31."""
        rows, columns = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        room = [min(LARGEST_PAD, k - 1) for k in (rows, rows, columns, columns)]
        return tuple(max(0, min(side, most)) for side, most in zip(self.sides, room, strict=True))


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
    return tuple(itertools.pairwise(cuts))


def sum_of_blocks(
    edit: Editor, conv: Convolution, parts: Sequence[Block], channels: Sequence[Span] = (), step: int = LARGEST_PAD
) -> gs.Tensor:
    """The convolution as the sum over kernel parts and ranges of input channels; the bias goes with the first.

    Zeros that several parts want, and may not pad themselves, are put around the input once. ``step`` is as ``largest``
    in :func:`shifted`. At least one part is needed.
    """
    values = conv.values()
    x, parts = _padded_once(edit, conv, parts, step)
    total: gs.Tensor | None = None
    for span in channels or [(0, conv.data[1])]:
        for block in parts:
            taps = values[:, span[0] : span[1], block.rows[0] : block.rows[1], block.columns[0] : block.columns[1]]
            if conv.window.group != 1:
                taps = values[:, :, block.rows[0] : block.rows[1], block.columns[0] : block.columns[1]]
            part = _part(edit, conv, x, span, taps, block, conv.bias if total is None else None, step)
            total = part if total is None else edit.op("Add", [total, part], hint=label(conv.node))
    if total is None:
        raise ValueError("a convolution has at least one part")
    return total


def _padded_once(
    edit: Editor, conv: Convolution, parts: Sequence[Block], step: int
) -> tuple[gs.Tensor, tuple[Block, ...]]:
    """The input with the zeros that more than one part cannot pad itself, and the parts on it."""
    zeros = [0, 0, 0, 0]
    for axis, (first, last) in enumerate(((0, 1), (2, 3))):
        wanting = [b for b in parts if any(w > o for w, o in list(zip(b.sides, b.own, strict=True))[first : last + 1])]
        if len(wanting) > 1:
            zeros[first], zeros[last] = conv.window.begin[axis], conv.window.end[axis]
    moved = tuple(
        Block(b.rows, b.columns, *(side - zero for side, zero in zip(b.sides, zeros, strict=True))) for b in parts
    )
    return shifted(edit, conv.x, zeros, step), moved


def _part(
    edit: Editor,
    conv: Convolution,
    x: gs.Tensor,
    span: Span,
    taps: Array,
    block: Block,
    bias: gs.Tensor | None,
    step: int,
) -> gs.Tensor:
    """One part: what the convolution may pad itself it pads, the rest is cropped or padded before."""
    form = shape(x) or conv.data
    own = block.own
    rest = [side - mine for side, mine in zip(block.sides, own, strict=True)]
    crops = [max(0, -r) for r in rest]
    starts = {1: span, 2: (crops[0], form[2] - crops[1]), 3: (crops[2], form[3] - crops[3])}
    cut = {axis: (a, b) for axis, (a, b) in starts.items() if (a, b) != (0, form[axis])}
    if cut:
        x = emit.slice_(edit, x, [a for a, _ in cut.values()], [b for _, b in cut.values()], list(cut))
    x = shifted(edit, x, [max(0, r) for r in rest], step)
    return convolve(
        edit,
        x,
        taps,
        bias,
        hint=label(conv.node),
        strides=conv.window.strides,
        dilations=tuple(d if k > 1 else 1 for d, k in zip(conv.window.dilations, taps.shape[2:], strict=True)),
        pads=(own[0], own[2], own[1], own[3]),
        group=conv.window.group,
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

    Crops are one Slice. Zeros come from one-hot depthwise convolutions with kernel a + b + 1 and pads a + b on both
    sides, for a zeros before and b after: so every pad is smaller than its kernel. ``largest`` bounds a + b of one
    convolution.
    """
    form = shape(x)
    if form is not None and min(pads) < 0:
        cut = {a: (max(0, -pads[2 * a - 4]), form[a] - max(0, -pads[2 * a - 3])) for a in (2, 3)}
        cut = {a: span for a, span in cut.items() if span != (0, form[a])}
        x = emit.slice_(edit, x, [a for a, _ in cut.values()], [b for _, b in cut.values()], list(cut))
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
    if largest == 1:
        return [(1, 0)] * before + [(0, 1)] * after
    count = -(-(before + after) // largest)
    cuts = [(before * i // count, after * i // count) for i in range(count + 1)] if count else []
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(cuts)]
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
