"""A convolution along the channels of [N, C, 1, 1] becomes a 1x1 Conv with a band of weights.

What it does: a Conv of rank 3, or of rank 4 along W alone, whose input is [N, C, 1, 1] in another shape (the channels
    as a sequence, as efficient channel attention has them) -> 1x1 Conv on [N, C, 1, 1], and a Reshape to the old shape,
    if that is not what the next Reshape gives back. Beyond 512 channels out,
    the band is cut into Convs of 512, each on a Slice of the channels that it reads, and a Concat.
Law: a convolution is linear: y[(m, j)] = sum over c and t of W[m, c, t] x[(c, stride j + dilation t - pad)].
Numerics: ROUNDING - the sums run in another order, with zeros outside the band.
Scales: the carrier of the result inherits its scale; the weights take theirs per output channel.
Fires: on a Conv of rank 3 (or of [N, C', 1, L] with a kernel of 1 x k) with constant weights, any pads, strides,
    dilations and groups, whose input comes from a static [N, C, 1, 1] through Reshape, Squeeze, Unsqueeze, Flatten and
    Transposes that keep the order of the elements.
Refuses: weights that are computed at run time; channels whose band would have more than 64 Mi entries.
Source: GEN-2D, CONV-2D, SHUF-FLAT, CONV-OUTMAPS.
Example: Reshape([1, 64, 1, 1]) to [1, 1, 64], Conv kernel 3 -> Conv 1x1, weights [64, 64, 1, 1] with three diagonals
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, forms, view

_MOVES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose")
_LARGEST = 1 << 26
"""Entries of a band: 8,192 channels (GEN-DIM) on either side. The growth budget is asked once it is made."""


@dataclass(frozen=True)
class Band:
    """The [N, C, 1, 1] tensor that the Conv really reads, its window along the sequence, the rows of one Conv.

    ``returned``: the Reshape behind it that gives [N, C', 1, 1] back.
    """

    source: Tensor
    window: view.Window
    rows: int
    returned: Node | None = None


@dataclass(frozen=True)
class Conv1dChannels(Pass[Band]):
    """Conv along the channels of [N, C, 1, 1] -> 1x1 Conv."""

    max_rows: int = 512

    name: ClassVar[str] = "conv1d-channels"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Conv",)

    def match(self, node: Node, context: Context) -> Match[Band] | Refusal | None:
        dims, result = view.shape(node.inputs[0]), view.shape(node.outputs[0])
        if dims is None or result is None or 0 in dims or 0 in result:
            return None
        moves: list[Node] = []
        source = _source(node.inputs[0], dims, moves)
        window = _along(view.window(node), dims)
        if source is None or window is None or not view.is_float(source):
            return None
        if not all(view.is_constant(t) for t in node.inputs[1:] if t.name):
            return Refusal("its weights are computed at run time", (node,))
        read, made = math.prod(dims[1:]), math.prod(result[1:])
        if read * made > _LARGEST:
            return Refusal(f"its band of weights from {read:,} to {made:,} channels would be too large", (node,))
        rows = self.max_rows if forms.takes_slices(context, source) else made
        returned = _returned(node, (dims[0], made, 1, 1), context) if len(dims) == 4 else None
        nodes = (node, *moves, *([returned] if returned is not None else []))
        return Match(nodes, Band(source, window, rows, returned), f"{read} channels")

    def apply(self, match: Match[Band], edit: Editor) -> None:
        node, band = match.nodes[0], match.facts
        dims, result = view.shape(node.inputs[0]) or (), view.shape(node.outputs[0]) or ()
        weights = np.asarray(view.constant_value(node.inputs[1]))
        taps = weights.reshape(*weights.shape[:2], weights.shape[-1])
        matrix = _matrix(taps, band.window, dims[1], dims[-1], result[-1])
        held = view.constant_value(view.input_at(node, 2))
        bias = None if held is None else np.repeat(held, result[-1])
        cuts = [slice(first, first + band.rows) for first in range(0, len(matrix), band.rows)]
        parts = [_part(edit, band.source, matrix[cut], None if bias is None else bias[cut]) for cut in cuts]
        joined = parts[0] if len(parts) == 1 else edit.op("Concat", parts, {"axis": 1})
        if band.returned is not None:
            edit.replace_uses(band.returned.outputs[0], joined)
        else:
            edit.replace_uses(node.outputs[0], emit.reshape(edit, joined, result))


def _along(window: view.Window | None, dims: tuple[int, ...]) -> view.Window | None:
    """The window along the last axis; None where H is more than one element, or a kernel or pads go along it."""
    if window is None or len(dims) not in (3, 4) or len(window.kernel) != len(dims) - 2:
        return None
    if len(dims) == 3:
        return window
    if dims[2] != 1 or (window.kernel[0], window.begin[0], window.end[0]) != (1, 0, 0):
        return None
    return replace(
        window,
        kernel=window.kernel[1:],
        strides=window.strides[1:],
        dilations=window.dilations[1:],
        begin=window.begin[1:],
        end=window.end[1:],
    )


def _returned(node: Node, dims: tuple[int, ...], context: Context) -> Node | None:
    """The Reshape to [N, C, 1, 1] that alone reads the Conv."""
    readers = view.consumers(node.outputs[0])
    if len(readers) != 1 or context.model.is_pinned(node.outputs[0]) or not view.is_op(readers[0], *_MOVES):
        return None
    return readers[0] if _keeps_order(readers[0]) and view.shape(readers[0].outputs[0]) == dims else None


def _source(tensor: Tensor, dims: tuple[int, ...], moves: list[Node]) -> Tensor | None:
    """The [N, C, 1, 1] tensor with the same elements in the same order as a tensor of shape ``dims``."""
    while (node := view.producer(tensor)) is not None and view.is_op(node, *_MOVES) and _keeps_order(node):
        moves.append(node)
        tensor = node.inputs[0]
        if view.shape(tensor) == (dims[0], math.prod(dims[1:]), 1, 1):
            return tensor
    return None


def _keeps_order(node: Node) -> bool:
    """Whether a Transpose moves axes of size 1 alone; the other moves never change the order of the elements."""
    if not view.is_op(node, "Transpose"):
        return True
    dims = view.shape(node.inputs[0])
    if dims is None:
        return False
    real = [a for a in view.ints(node, "perm", tuple(range(len(dims)))[::-1]) if dims[a] != 1]
    return real == sorted(real)


def _matrix(weights: view.Array, window: view.Window, channels: int, length: int, count: int) -> view.Array:
    """[maps * count, channels * length]: row (m, j) holds what output j of map m reads of (channel, place)."""
    maps, inner, taps = weights.shape
    found = np.zeros((maps, count, channels, length), weights.dtype)
    for m in range(maps):
        own = slice(first := m // (maps // window.group) * inner, first + inner)
        for j in range(count):
            for tap in range(taps):
                place = j * window.strides[0] - window.begin[0] + tap * window.dilations[0]
                if 0 <= place < length:
                    found[m, j, own, place] = weights[m, :, tap]
    return found.reshape(maps * count, channels * length)


def _part(edit: Editor, x: Tensor, rows: view.Array, bias: view.Array | None) -> Tensor:
    """Some rows of the matrix as a 1x1 Conv of the channels that they read."""
    used = np.flatnonzero(rows.any(axis=0))
    first, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
    whole = end - first == rows.shape[1]
    data = x if whole else emit.slice_(edit, x, [first], [end], [1])
    weights = edit.constant(rows[:, first:end, None, None], "band")
    inputs = [data, weights] if bias is None else [data, weights, edit.constant(bias, "bias")]
    return edit.op("Conv", inputs, {"kernel_shape": [1, 1]})
