"""A row of elements becomes a column, or a column a row, by a depthwise convolution.

What it does: Transpose of H and W of [N, C, 1, n] or [N, C, n, 1] -> depthwise Conv with an n x n kernel whose ones lie
    on the other diagonal, padded by n - 1 on both sides of the axis that grows. More than 32 elements are sliced into
    parts; zeros around the result of each (other one-hot Convs) and Adds put them together.
Law: over a row x, with n - 1 rows of zeros above and below it, output row i meets x with kernel row n - 1 - i alone,
    which is one at place i: it is x[i]. The same with the axes exchanged.
Numerics: EXACT - products with one and zero, sums with zero, as long as the input is finite.
Scales: the result inherits the scale of the input.
Fires: on 4-D floats of static shape where the target refuses or doubts the Transpose, and it does not cancel.
Refuses: a line of more than 32 elements where the target has no Slice (INT8 builds).
Source: ONNX Transpose; SHUF-EXIST, CONV-KERNEL, CONV-PAD; coordinate attention.
Example: Transpose(x: [1,32,1,24], perm 0 1 3 2) -> Conv(x, w: [32,1,24,24]; group 32, pads 23 0 23 0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, convolve, emit, forms, view

_LONGEST = 32
"""CONV-KERNEL."""


@dataclass(frozen=True)
class Line:
    """Whether it is a row (and becomes a column), where its parts begin and end, steps of zeros around them."""

    row: bool
    edges: tuple[int, ...]
    step: int


@dataclass(frozen=True)
class TransposeLine(Pass[Line]):
    """Transpose of [N, C, 1, n] or [N, C, n, 1] -> depthwise one-hot Conv."""

    name: ClassVar[str] = "transpose-line"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("Transpose",)

    def match(self, node: Node, context: Context) -> Match[Line] | Refusal | None:
        x = node.inputs[0]
        dims = view.shape(x)
        if dims is None or len(dims) != 4 or view.ints(node, "perm") != (0, 1, 3, 2) or not view.is_float(x):
            return None
        _, channels, height, width = dims
        size = max(height, width)
        if min(height, width) != 1 or size == 1 or 0 in dims:
            return None
        count = -(-size // _LONGEST)
        if count > 1 and not forms.takes_slices(context, x, 3 if height == 1 else 2):
            return Refusal(
                f"its line of {size} elements is longer than a kernel of {_LONGEST}, and not sliced", (node,)
            )
        edges = tuple(size * part // count for part in range(count + 1))
        # Zeros go around lines that are turned already.
        step = convolve.narrower(context, node.outputs[0]) if count > 1 else 0
        return Match((node,), Line(height == 1, edges, step), f"{size} elements of {channels} channels")

    def apply(self, match: Match[Line], edit: Editor) -> None:
        node, line = match.nodes[0], match.facts
        whole = _turned(edit, node.inputs[0], line, 0)
        for part in range(1, len(line.edges) - 1):
            whole = edit.op("Add", [whole, _turned(edit, node.inputs[0], line, part)])
        edit.replace_uses(node.outputs[0], whole)


def _turned(edit: Editor, x: Tensor, line: Line, part: int) -> Tensor:
    """One part, turned, with zeros where the others lie."""
    start, stop = line.edges[part : part + 2]
    size, channels = stop - start, (view.shape(x) or (1, 1))[1]
    if len(line.edges) > 2:
        x = emit.slice_(edit, x, [start], [stop], [3 if line.row else 2])
    ones = np.broadcast_to(np.eye(size, dtype=view.dtype(x))[::-1], (channels, 1, size, size))
    pads = [size - 1, 0, size - 1, 0] if line.row else [0, size - 1, 0, size - 1]
    attrs = {"kernel_shape": [size, size], "group": channels, "pads": pads}
    turned = edit.op("Conv", [x, edit.constant(ones, "turned")], attrs)
    if len(line.edges) == 2:
        return turned
    around = (start, line.edges[-1] - stop)
    return convolve.shifted(edit, turned, (*around, 0, 0) if line.row else (0, 0, *around), line.step)
