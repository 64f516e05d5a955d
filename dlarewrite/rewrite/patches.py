"""Space to channels as a strided Conv: pixels picked into channels, and merged into the Conv that reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.spatial import Pair, Values, like


@dataclass(frozen=True)
class Patches:
    """[N, C, H, W] -> [N, len(picks) * C, H / block, W / block]: picks are (row, column) in a block."""

    block: Pair
    picks: tuple[Pair, ...]

    def one_hot(self, channels: int) -> Values:
        """[C * len(picks), C, bh, bw] weights of the Conv with kernel = stride = block."""
        weights = np.zeros((len(self.picks), channels, channels, *self.block), dtype=np.float32)
        for index, (row, column) in enumerate(self.picks):
            weights[index, np.arange(channels), np.arange(channels), row, column] = 1.0
        return weights.reshape(-1, channels, *self.block)

    def merged(self, weights: Values) -> Values:
        """[Co, C * len(picks), kh, kw] weights that read patches, as [Co, C, kh bh, kw bw] that read the source."""
        maps, inputs, kh, kw = weights.shape
        channels, (bh, bw) = inputs // len(self.picks), self.block
        found = np.zeros((maps, channels, kh, bh, kw, bw), dtype=weights.dtype)
        parts = weights.reshape(maps, len(self.picks), channels, kh, kw)
        for index, (row, column) in enumerate(self.picks):
            found[:, :, :, row, :, column] += parts[:, index]
        return found.reshape(maps, channels, kh * bh, kw * bw)


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
