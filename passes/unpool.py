"""Unpooling by the indices of a MaxPool becomes a product with the places of the maxima.

What it does: MaxPool with indices, and MaxUnpool (or Reshapes and a ScatterND into zeros) by them -> MaxPool without
    indices; e = maximum - x for each element of a window, by a one-hot strided Conv; e as 0 or 1 by repeated
    Clip(2^15 e, 0, 1); the first zero of each window by a 1x1 Conv and a Relu; times the value; a ConvTranspose.
Law: an element is the maximum where e = 0. The least difference of two numbers from 2^-103 on grows to 1 in nine steps
    (FP16: any, in two); of equal maxima the first in order is taken, 1 - e_p - sum_{q<p} (1 - e_q), as ONNX has it.
Numerics: EXACT - the values are multiplied by 1 or 0 and added to zeros.
Scales: the product and the result inherit the scale of the values.
Fires: on windows of kernel = stride from 2 to 8 that tile the map, static shapes, FP16.
Refuses: other windows; INT8, in which near values are equal; a scatter that others read before it has its shape again.
Source: ONNX MaxPool, MaxUnpool, ScatterND; POOL-INDICES, NODLA.
Example: MaxUnpool(MaxPool 2x2(x)) -> MaxPool, Conv 2x2, Conv, Sub, (Mul, Clip) x9, Conv, Relu, Mul, ConvTranspose 2x2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view

_GAIN = 2.0**15


@dataclass(frozen=True)
class Unpooling:
    """``values`` [N, C, h, w] go to where the maxima of ``pool`` were, into ``result`` of the shape of its input."""

    pool: Node
    values: Tensor
    result: Tensor
    side: int


@dataclass(frozen=True)
class Unpool(Pass[Unpooling]):
    """MaxUnpool, ScatterND by a MaxPool's indices -> Conv, Clip, Mul, ConvTranspose."""

    name: ClassVar[str] = "unpool"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    anchors: ClassVar[tuple[str, ...]] = ("MaxUnpool", "ScatterND")

    def match(self, node: Node, context: Context) -> Match[Unpooling] | Refusal | None:
        chain = [node]
        traced = _pool_of(node, chain)
        if traced is None:
            return None
        pool, values = traced
        result = node.outputs[0]
        if node.op == "ScatterND":
            readers = view.consumers(result)
            back = next((r for r in readers if view.shape(r.outputs[0]) == view.shape(pool.inputs[0])), None)
            others = [view.label(r) for r in readers if r is not back]
            if back is None or not view.is_op(back, "Reshape") or others or context.model.is_pinned(result):
                return Refusal(f"{', '.join(others) or 'the graph output'} reads the scatter as it is", (node, pool))
            chain.append(back)
            result = back.outputs[0]
        dims, small = view.shape(pool.inputs[0]), view.shape(values)
        if dims is None or len(dims) != 4 or view.shape(result) != dims or small != view.shape(pool.outputs[0]):
            return None
        window = view.window(pool)
        if window is None or not view.is_float(values) or view.attr(pool, "storage_order", 0):
            return None
        side = window.kernel[0]
        tiles = window.kernel == window.strides == (side, side) and not window.padded and set(window.dilations) == {1}
        if not tiles or not 2 <= side <= 8 or dims[2] % side or dims[3] % side:
            return Refusal(f"its windows of {window.kernel} at strides {window.strides} do not tile the map", (node,))
        if context.target.precision.value == "int8":
            return Refusal("the place of a maximum is lost among 8-bit values that are equal", (node, pool))
        return Match((pool, *chain), Unpooling(pool, values, result, side), f"{side}x{side} windows of {dims[1]} maps")

    def apply(self, match: Match[Unpooling], edit: Editor) -> None:
        found = match.facts
        pool, x, side = found.pool, found.pool.inputs[0], found.side
        pooled = edit.op("MaxPool", [x], {k: v for k, v in pool.attrs.items() if k != "storage_order"})
        chosen = _places(edit, x, pooled, side)
        spread = edit.op("Mul", [chosen, _repeat(edit, found.values, side * side)])
        edit.replace_uses(pool.outputs[0], pooled)
        channels = x.shape[1]
        taps = _one_hot(side, view.dtype(x))
        weight = np.zeros((channels, side * side, channels, side, side), dtype=view.dtype(x))
        weight[np.arange(channels), :, np.arange(channels)] = taps[:, 0]
        held = edit.constant(weight.reshape(-1, channels, side, side), "places")
        attrs = {"kernel_shape": [side, side], "strides": [side, side]}
        edit.replace_uses(found.result, edit.op("ConvTranspose", [spread, held], attrs))


def _places(edit: Editor, x: Tensor, pooled: Tensor, side: int) -> Tensor:
    """1 at the first maximum of each window and 0 elsewhere, its elements as channels: [N, C side^2, h, w]."""
    channels, count, kind = x.shape[1], side * side, view.dtype(x) or np.dtype(np.float32)
    taps = edit.constant(np.tile(_one_hot(side, kind), (channels, 1, 1, 1)), "taps")
    attrs = {"kernel_shape": [side, side], "strides": [side, side], "group": channels}
    gap: Tensor = edit.op("Sub", [_repeat(edit, pooled, count), edit.op("Conv", [x, taps], attrs)])
    for _ in range(2 if kind == np.float16 else 9):
        gap = emit.clip(edit, edit.op("Mul", [gap, emit.scalar(edit, _GAIN, x, "gain")]), 0.0, 1.0)
    first = np.tril(np.ones((count, count)), -1) - np.eye(count)
    weight = edit.constant(np.tile(first, (channels, 1)).reshape(-1, count, 1, 1), "first", kind)
    offset = edit.constant(np.tile(1.0 - np.arange(count), channels), "offset", kind)
    return edit.op("Relu", [edit.op("Conv", [gap, weight, offset], {"kernel_shape": [1, 1], "group": channels})])


def _one_hot(side: int, kind: object) -> view.Array:
    """[side^2, 1, side, side] weights: channel p is element p of a window, rows first."""
    return np.eye(side * side, dtype=kind).reshape(-1, 1, side, side)  # type: ignore[call-overload,no-any-return]


def _repeat(edit: Editor, x: Tensor, count: int) -> Tensor:
    """Each channel ``count`` times in a row."""
    ones = edit.constant(np.ones((x.shape[1] * count, 1, 1, 1), dtype=view.dtype(x)), "ones")
    return edit.op("Conv", [x, ones], {"kernel_shape": [1, 1], "group": x.shape[1]})


def _pool_of(node: Node, chain: list[Node]) -> tuple[Node, Tensor] | None:
    """The MaxPool by whose indices the node scatters, and what; nodes passed on the way are added to ``chain``."""
    if node.op == "MaxUnpool":
        pool = view.producer(node.inputs[1])
        return (pool, node.inputs[0]) if pool is not None and _is_index(node.inputs[1], pool) else None
    zeros = view.constant_value(node.inputs[0])
    if zeros is None or zeros.ndim != 1 or zeros.any() or view.attr(node, "reduction", "none") != "none":
        return None
    index, values = (_unshaped(t, chain) for t in node.inputs[1:3])
    maker = view.producer(index)
    offset: view.Array | None = None
    if maker is not None and view.is_op(maker, "Add"):
        offset = next((v for v in map(view.constant_value, maker.inputs) if v is not None), None)
        rest = [t for t in maker.inputs if not view.is_constant(t)]
        if offset is None or len(rest) != 1:
            return None
        chain.append(maker)
        index, maker = rest[0], view.producer(rest[0])
    if maker is not None and offset is not None and view.is_op(maker, "Sub"):
        dims = _planes(maker, chain)
        planes = 0 if dims is None else dims[0] * dims[1]
        if dims is None or offset.reshape(-1).tolist() != [p * dims[2] * dims[3] for p in range(planes)]:
            return None
        chain.append(maker)
        index, offset = maker.inputs[0], None
        maker = view.producer(index)
    if maker is None or offset is not None or not _is_index(index, maker):
        return None
    dims = view.shape(maker.inputs[0])
    return (maker, values) if dims is not None and zeros.size == int(np.prod(dims)) else None


def _planes(sub: Node, chain: list[Node]) -> tuple[int, ...] | None:
    """The shape of the map whose indices lose those of each plane's first element, by a MaxPool of single elements."""
    first = view.producer(sub.inputs[1])
    single = None if first is None or not view.is_op(first, "Slice") else view.producer(first.inputs[0])
    pool = view.producer(sub.inputs[0])
    if first is None or single is None or pool is None or not _is_index(first.inputs[0], single):
        return None
    dims, window = view.shape(single.inputs[0]), view.window(single)
    starts = view.constant_value(view.input_at(first, 1))
    same = single.inputs[0] is pool.inputs[0] and dims is not None and len(dims) == 4
    if not same or window is None or set(window.kernel) != {1} or starts is None or starts.any():
        return None
    if dims is None or view.shape(first.outputs[0]) != (*dims[:2], 1, 1):
        return None
    chain += [first, single]
    return dims


def _is_index(tensor: Tensor, node: Node) -> bool:
    return view.is_op(node, "MaxPool") and len(node.outputs) > 1 and node.outputs[1] is tensor


def _unshaped(tensor: Tensor, chain: list[Node]) -> Tensor:
    """The tensor before the Reshapes that give it another shape."""
    while (maker := view.producer(tensor)) is not None and view.is_op(maker, "Reshape", "Unsqueeze", "Flatten"):
        chain.append(maker)
        tensor = maker.inputs[0]
    return tensor
