"""A choice of channels worked up to the Convs that make them: each computes only what is chosen.

Between a dense Conv and the choice may stand operators that work channel by channel, a tensor times its own sigmoid
among them; all of that is made once for each choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite import convolve
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.wiring import POINTWISE
from dlarewrite.target import Precision

_POOLS = ("MaxPool", "AveragePool")
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Max", "Min")
_MOST = 12
"""Nodes; more are hardly ever worth being made twice."""


@dataclass(frozen=True)
class Cone:
    """The nodes from dense Convs down to ``tensor``, that one's maker first; nobody else reads what they make."""

    tensor: gs.Tensor
    nodes: tuple[gs.Node, ...]


def read(context: Context, tensor: gs.Tensor, choosers: Sequence[gs.Node]) -> Cone | None:
    """What makes the tensor for ``choosers`` alone, all of which the target takes; None where it is made otherwise.

    In an INT8 build that is one Conv: scales are not carried to parts of the tensors further up.
    """
    found: dict[int, gs.Node] = {}
    work = [tensor]
    while work:
        current = work.pop()
        node = view.producer(current)
        if node is None or len(node.outputs) > 1 or context.model.is_pinned(current):
            return None
        if id(node) in found:
            continue
        inputs = _inputs(node)
        if inputs is None or len(found) == _MOST or not context.is_native(node):
            return None
        found[id(node)] = node
        work.extend(inputs)
    if len(found) > 1 and context.target.precision is Precision.INT8:
        return None
    readers = (r for node in found.values() for r in view.consumers(node.outputs[0]))
    inside = {*found, *map(id, choosers)}
    if any(id(r) not in inside for r in readers):
        return None
    return Cone(tensor, tuple(found.values()))


def _inputs(node: gs.Node) -> list[gs.Tensor] | None:
    """The activations whose channels are the node's own; [] for a dense Conv, None for what mixes them otherwise."""
    out = view.shape(node.outputs[0])
    if out is None or len(out) != 4:
        return None
    if view.is_op(node, "Conv"):
        conv = convolve.read(node)
        if conv is None or conv.window.group == 1:
            return None if conv is None else []
        return [conv.x] if conv.window.group == conv.form[0] == conv.data[1] else None
    operands = [t for t in node.inputs if t.name]
    data = [t for t in operands if not view.is_constant(t)]
    constants = [t for t in operands if view.is_constant(t)]
    if view.is_op(node, *_ELEMENTWISE):
        fits = all(view.shape(t) == out for t in data) and all(_cut_axis(t, out) is not None for t in constants)
        return data if data and fits else None
    single = view.is_op(node, *_POOLS) or (view.is_op(node, *POINTWISE) and all(_size(t) == 1 for t in constants))
    return data if single and len(data) == 1 and data[0] is node.inputs[0] else None


def _size(tensor: gs.Tensor) -> int:
    form = view.shape(tensor)
    return 0 if form is None else math.prod(form)


def _cut_axis(tensor: gs.Tensor, out: tuple[int, ...]) -> int | None:
    """The axis of a constant operand that counts channels; -1 where it is the same for all; None if that is unsure."""
    form = view.shape(tensor)
    if form is None or len(form) > len(out):
        return None
    where = len(form) - 3
    return -1 if where < 0 or form[where] == 1 else where if form[where] == out[1] else None


def emit(edit: Editor, cone: Cone, rows: tuple[int, ...]) -> gs.Tensor:
    """The tensor's channels ``rows``, by nodes of their own."""
    return _cut(edit, cone.tensor, list(rows), {})


def _cut(edit: Editor, tensor: gs.Tensor, rows: list[int], made: dict[int, gs.Tensor]) -> gs.Tensor:
    node = view.producer(tensor)
    if node is None or id(tensor) in made:
        return made[id(tensor)]
    if view.is_op(node, "Conv"):
        made[id(tensor)] = _cut_conv(edit, node, rows, made)
        return made[id(tensor)]
    out = view.shape(tensor) or ()
    inputs: list[gs.Tensor | None] = []
    for operand in node.inputs:
        value = view.constant_value(operand) if operand.name else None
        if not operand.name:
            inputs.append(None)
        elif value is None:
            inputs.append(_cut(edit, operand, rows, made))
        elif view.is_op(node, *_ELEMENTWISE) and (where := _cut_axis(operand, out)) not in (None, -1):
            inputs.append(edit.constant(value.take(rows, axis=where), str(operand.name)))
        else:
            inputs.append(operand)
    made[id(tensor)] = edit.op(node.op, inputs, dict(node.attrs), hint=view.label(node))
    return made[id(tensor)]


def _cut_conv(edit: Editor, node: gs.Node, rows: list[int], made: dict[int, gs.Tensor]) -> gs.Tensor:
    conv = convolve.read(node)
    if conv is None:
        raise ValueError(f"{view.label(node)} is no Conv with constant weights")
    window, bias = conv.window, view.constant_value(conv.bias)
    return convolve.convolve(
        edit,
        conv.x if window.group == 1 else _cut(edit, conv.x, rows, made),
        conv.values()[rows],
        None if bias is None else edit.constant(np.asarray(bias)[rows], "bias"),
        hint=view.label(node),
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        group=1 if window.group == 1 else len(rows),
        name=str(conv.weights.name),
    )
