"""What values a tensor can hold, judged from the operators that make it."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view

_NEVER_NEGATIVE = (
    "Relu",
    "Sigmoid",
    "Softmax",
    "Abs",
    "Exp",
    "HardSigmoid",
    "Softplus",
    "Sqrt",
    "ReduceSumSquare",
    "ReduceL1",
    "ReduceL2",
)
_PASSES_ON = (
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Add",
    "Mul",
    "Concat",
    "Max",
    "Min",
    "Slice",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "ReduceMin",
)
_DEPTH = 8


def is_never_negative(tensor: gs.Tensor, depth: int = _DEPTH) -> bool:
    """Whether no element can be below zero, judged from at most eight producers in a row."""
    kind = view.dtype(tensor)
    if kind is not None and kind.kind in "ub":
        return True
    held = view.constant_value(tensor)
    if held is not None:
        return held.size > 0 and bool(np.all(held >= 0))
    maker = view.producer(tensor)
    if maker is None or depth == 0:
        return False
    if view.is_op(maker, "Clip"):
        return _least_clipped(maker) >= 0
    if view.is_op(maker, *_NEVER_NEGATIVE) or _is_square(maker):
        return True
    if view.is_op(maker, "Conv"):
        return all(is_never_negative(t, depth - 1) for t in maker.inputs if t.name)
    if not view.is_op(maker, *_PASSES_ON):
        return False
    read = maker.inputs if maker.op in ("Add", "Mul", "Concat", "Max", "Min") else maker.inputs[:1]
    everything = all if maker.op != "Max" else any
    return everything(is_never_negative(t, depth - 1) for t in read)


def least(tensor: gs.Tensor) -> float:
    """A bound that no element of a float tensor can lie below; minus infinity where none is known.

    Known are sums of what is never negative and a constant, Max with a constant, and Clip. Constants that are not
    finite bound nothing.
    """
    held, maker = view.constant_value(tensor), view.producer(tensor)
    if held is not None and held.size:
        return _finite(float(held.min()))
    if maker is not None and view.is_op(maker, "Add", "Max"):
        constants = [float(c.min()) for c in map(view.constant_value, maker.inputs) if c is not None and c.size]
        rest = 0.0 if all(is_never_negative(t) for t in maker.inputs if view.constant_value(t) is None) else -math.inf
        return _finite(sum(constants, rest)) if maker.op == "Add" else max([rest, *map(_finite, constants)])
    if maker is not None and view.is_op(maker, "Clip"):
        return _least_clipped(maker)
    return 0.0 if is_never_negative(tensor) else -math.inf


def _finite(bound: float) -> float:
    return bound if math.isfinite(bound) else -math.inf


def _least_clipped(clip: gs.Node) -> float:
    """The least value of a Clip: its min, or its max where that is below (ONNX lets max have the last word)."""
    ends = []
    for index, name in ((1, "min"), (2, "max")):
        given = view.input_at(clip, index)
        held = view.constant_value(given)
        if given is not None and (held is None or held.size != 1):
            return -math.inf
        ends.append(view.attr(clip, name) if held is None else held.reshape(())[()])
    low, high = ends
    return -math.inf if low is None else _finite(min(float(low), math.inf if high is None else float(high)))


def _is_square(node: gs.Node) -> bool:
    """x * x, or x to the power of an even constant."""
    if view.is_op(node, "Mul"):
        return node.inputs[0] is node.inputs[1]
    power = view.constant_value(view.input_at(node, 1)) if view.is_op(node, "Pow") else None
    return power is not None and power.size > 0 and bool(np.all(power % 2 == 0))
