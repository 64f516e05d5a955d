"""A shuffle of channels behind a Conv as the order of the rows of its weights.

A Conv's output channels are the rows of its weights, so that any order of them, or choice among them, is another Conv.
Of a grouped Conv, rows leave their groups: it becomes a dense one, with zeros where it read nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.analysis.cost import macs
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.view import Array, attr, constant_value, dtype, input_at, is_constant, is_op, label, producer, shape
from dlarewrite.rewrite.choice import Cost
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.wiring import POINTWISE, Ints, Shuffle


@dataclass(frozen=True)
class Behind:
    """The Conv, the activations between it and the shuffle, the shuffle's result and which channels that takes."""

    conv: gs.Node
    chain: tuple[gs.Node, ...]
    result: gs.Tensor
    rows: Ints


def behind(context: Context, shuffle: Shuffle) -> Behind | None:
    """The Conv that a shuffle can be worked into; None where there is none, or where others read on the way."""
    tensor, chain = shuffle.x, list[gs.Node]()
    if len(shuffle.ends) != 1:
        return None
    while True:
        maker = producer(tensor)
        if maker is None or len(tensor.outputs) != 1 or context.model.is_pinned(tensor):
            return None
        if is_op(maker, "Conv"):
            break
        if not is_op(maker, *POINTWISE) or not all(is_constant(t) for t in maker.inputs[1:] if t.name):
            return None
        chain.append(maker)
        tensor = maker.inputs[0]
    operands = [t for t in maker.inputs[1:] if t.name]
    if len(shape(tensor) or ()) != 4 or any(constant_value(t) is None for t in operands):
        return None
    found = Behind(maker, tuple(reversed(chain)), *shuffle.ends[0])
    nothing = np.broadcast_to(np.zeros((), dtype=dtype(operands[0]) or np.float32), _form(found))
    wide = [maker.inputs[0], gs.Constant("w", nothing)]
    return found if len(found.rows) <= _count(found) and context.allows("Conv", wide, _attributes(found)) else None


def cost(found: Behind) -> Cost:
    """What the Conv multiplies and stores beyond what it did."""
    height, width = (shape(found.conv.outputs[0]) or ())[2:]
    batch = (shape(found.conv.outputs[0]) or (1,))[0]
    stored = math.prod(_form(found))
    had = constant_value(found.conv.inputs[1])
    before = 0 if had is None else int(had.size)
    return Cost(stored * batch * height * width - macs(found.conv), 0, max(stored - before, 0), 0)


def emit_behind(edit: Editor, found: Behind) -> None:
    """The Conv with its rows in the shuffle's order, its activations, and the shuffle's readers behind them."""
    conv = found.conv
    weights, bias = constant_value(conv.inputs[1]), constant_value(input_at(conv, 2))
    if weights is None:
        return
    inputs = [conv.inputs[0], edit.constant(_dense(weights, _groups(found))[found.rows], str(conv.inputs[1].name))]
    if bias is not None:
        inputs.append(edit.constant(bias[found.rows], str(conv.inputs[2].name)))
    made = edit.op("Conv", inputs, _attributes(found), hint=label(conv))
    for node in found.chain:
        rest = [t if t.name else None for t in node.inputs[1:]]
        made = edit.op(node.op, [made, *rest], dict(node.attrs), hint=label(node))
    edit.replace_uses(found.result, made)


def _groups(found: Behind) -> int:
    return int(attr(found.conv, "group", 1))


def _count(found: Behind) -> int:
    return (shape(found.conv.inputs[1]) or (0,))[0]


def _form(found: Behind) -> tuple[int, ...]:
    """Of the new weights."""
    form = shape(found.conv.inputs[1]) or ()
    return (len(found.rows), form[1] * _groups(found), *form[2:])


def _attributes(found: Behind) -> dict[str, Any]:
    return {**found.conv.attrs, "group": 1}


def _dense(weights: Array, groups: int) -> Array:
    """[M, C / groups, ...] weights as [M, C, ...] with zeros."""
    maps, columns = weights.shape[:2]
    wide = np.zeros((groups, maps // groups, groups, columns, *weights.shape[2:]), dtype=weights.dtype)
    own = weights.reshape(groups, maps // groups, columns, *weights.shape[2:])
    wide[np.arange(groups), :, np.arange(groups)] = own
    return wide.reshape(maps, groups * columns, *weights.shape[2:])
