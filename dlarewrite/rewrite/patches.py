"""Space to channels as a strided Conv: pixels picked into channels, and merged into the Conv that reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.spatial import Pair, Values, like

_MOST = 8
"""Reshapes and Transposes in a row."""

_LONGEST = 2**23
"""Elements whose numbers are moved to see what a chain of Reshapes and Transposes does."""


@dataclass(frozen=True)
class Patches:
    """[N, C, H, W] -> [N, len(picks) * C, H / block, W / block]: picks are (row, column) in a block.

    Channel ``order[o]`` of that order, which has a pick's channels side by side, is channel o; () leaves it.
    """

    block: Pair
    picks: tuple[Pair, ...]
    order: tuple[int, ...] = ()

    def one_hot(self, channels: int) -> Values:
        """[C * len(picks), C, bh, bw] weights of the Conv with kernel = stride = block."""
        weights = np.zeros((len(self.picks), channels, channels, *self.block), dtype=np.float32)
        for index, (row, column) in enumerate(self.picks):
            weights[index, np.arange(channels), np.arange(channels), row, column] = 1.0
        flat = weights.reshape(-1, channels, *self.block)
        return flat[list(self.order)] if self.order else flat

    def merged(self, weights: Values) -> Values:
        """[Co, C * len(picks), kh, kw] weights that read patches, as [Co, C, kh bh, kw bw] that read the source."""
        maps, inputs, kh, kw = weights.shape
        if self.order:
            weights = weights[:, np.argsort(self.order)]
        channels, (bh, bw) = inputs // len(self.picks), self.block
        found = np.zeros((maps, channels, kh, bh, kw, bw), dtype=weights.dtype)
        parts = weights.reshape(maps, len(self.picks), channels, kh, kw)
        for index, (row, column) in enumerate(self.picks):
            found[:, :, :, row, :, column] += parts[:, index]
        return found.reshape(maps, channels, kh * bh, kw * bw)


@dataclass(frozen=True)
class Written:
    """A cut into patches that Reshapes and Transposes make: from ``source`` through ``nodes`` to ``output``."""

    nodes: tuple[gs.Node, ...]
    source: gs.Tensor
    output: gs.Tensor
    patches: Patches


def written_out(first: gs.Node, context: Context) -> Written | None:
    """The cut that a chain of Reshapes and Transposes from ``first`` on makes, as each element's number moves."""
    source = first.inputs[0]
    dims = view.shape(source)
    if dims is None or len(dims) != 4 or not 0 < math.prod(dims) <= _LONGEST or view.rank(first.outputs[0]) == 4:
        return None
    nodes = _chain(first, dims, context)
    if nodes is None:
        return None
    numbers: view.Array = np.arange(math.prod(dims)).reshape(dims)
    for node in nodes:
        turned = view.is_op(node, "Transpose")
        numbers = numbers.transpose(view.ints(node, "perm")) if turned else numbers.reshape(view.shape(node.outputs[0]))
    found = _cut(numbers, dims)
    return None if found is None else Written(nodes, source, nodes[-1].outputs[0], found)


def _chain(first: gs.Node, dims: tuple[int, ...], context: Context) -> tuple[gs.Node, ...] | None:
    """The Reshapes and Transposes from ``first`` to a tensor that has the shape of patches; None without one."""
    nodes, node = [first], first
    while True:
        output = node.outputs[0]
        form = view.shape(output)
        if form is None or (view.is_op(node, "Transpose") and len(view.ints(node, "perm")) != len(form)):
            return None
        if len(form) == 4 and _block(form, dims) is not None and len(nodes) > 2:
            return tuple(nodes)
        readers = view.consumers(output)
        if len(readers) != 1 or len(nodes) == _MOST or context.model.is_pinned(output):
            return None
        node = readers[0]
        if not view.is_op(node, "Reshape", "Transpose") or node.inputs[0] is not output:
            return None
        nodes.append(node)


def _block(form: tuple[int, ...], dims: tuple[int, ...]) -> Pair | None:
    """The block whose patches of a [N, C, H, W] tensor have this shape, or None."""
    batch, maps, rows, columns = form
    if batch != dims[0] or 0 in form or dims[2] % rows or dims[3] % columns:
        return None
    block = (dims[2] // rows, dims[3] // columns)
    return block if block != (1, 1) and maps == dims[1] * block[0] * block[1] else None


def _cut(numbers: view.Array, dims: tuple[int, ...]) -> Patches | None:
    """The patches of a [N, C, H, W] tensor of shape ``dims``, given where each of their elements comes from."""
    n, channels, height, width = dims
    block = _block(numbers.shape, dims)
    if block is None:
        return None
    rows, columns = numbers.shape[2:]
    plane = np.arange(rows)[:, None] * block[0] * width + np.arange(columns) * block[1]
    base = numbers[0, :, 0, 0]
    whole = np.arange(n)[:, None, None, None] * channels * height * width + base[:, None, None] + plane
    c, row, column = base // (height * width), base // width % height, base % width
    if not np.array_equal(numbers, whole) or row.max() >= block[0] or column.max() >= block[1]:
        return None
    picks = tuple((r, s) for r in range(block[0]) for s in range(block[1]))
    order = (row * block[1] + column) * channels + c
    return Patches(block, picks, () if np.array_equal(order, np.arange(len(base))) else tuple(order.tolist()))


@dataclass(frozen=True)
class Reader:
    """The only Conv that reads the patches, with its window multiplied by the block."""

    node: gs.Node
    kernel: Pair
    strides: Pair
    pads: tuple[int, ...]

    @property
    def attributes(self) -> dict[str, object]:
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            "pads": list(self.pads),
            "dilations": [1, 1],
            "group": 1,
        }


def reader(context: Context, source: gs.Tensor, output: gs.Tensor, patches: Patches) -> Reader | None:
    """The Conv that may take the patches in, at no more MACs than it has, where the target takes the merged one."""
    readers = view.consumers(output)
    if len(readers) != 1 or len(output.outputs) != 1 or context.model.is_pinned(output):
        return None
    node, dims = readers[0], view.shape(source)
    window, weights = view.window(node) if view.is_op(node, "Conv") else None, view.shape(view.input_at(node, 1))
    if window is None or weights is None or dims is None or len(window.kernel) != 2 or window.group > 1:
        return None
    if node.inputs[0] is not output or not view.is_constant(node.inputs[1]) or window.dilations != (1, 1):
        return None
    (bh, bw), (kh, kw), (sh, sw) = patches.block, window.kernel, window.strides
    pads = (window.begin[0] * bh, window.begin[1] * bw, window.end[0] * bh, window.end[1] * bw)
    found = Reader(node, (kh * bh, kw * bw), (sh * bh, sw * bw), pads)
    nothing = np.broadcast_to(np.zeros((), view.dtype(source) or np.float32), (weights[0], dims[1], *found.kernel))
    legal = context.allows("Conv", [source, gs.Constant("w", nothing)], found.attributes)
    return found if legal else None


def takes(context: Context, source: gs.Tensor, patches: Patches) -> bool:
    """Whether the target takes the one-hot Conv."""
    dims = view.shape(source)
    if dims is None or len(dims) != 4:
        return False
    shape = (dims[1] * len(patches.picks), dims[1], *patches.block)
    nothing = np.broadcast_to(np.zeros((), view.dtype(source) or np.float32), shape)
    return context.allows("Conv", [like(source, dims), gs.Constant("w", nothing)], {"strides": list(patches.block)})


def emit(edit: Editor, source: gs.Tensor, output: gs.Tensor, patches: Patches, merge: Reader | None) -> None:
    """Replace ``output``, or the output of the Conv that reads it, by one strided Conv of ``source``."""
    kind = view.dtype(source) or np.dtype(np.float32)
    if merge is None:
        weights = edit.constant(patches.one_hot(int(source.shape[1])).astype(kind), "patches")
        attrs = {"kernel_shape": list(patches.block), "strides": list(patches.block)}
        edit.replace_uses(output, edit.op("Conv", [source, weights], attrs))
        return
    old = view.constant_value(merge.node.inputs[1])
    bias = view.input_at(merge.node, 2)
    merged = edit.constant(patches.merged(np.asarray(old)), "weights")
    inputs = [source, merged, bias] if bias is not None else [source, merged]
    edit.replace_uses(merge.node.outputs[0], edit.op("Conv", inputs, merge.attributes))
