"""What values a tensor can hold, judged from the operators that make it."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir import view

_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax", "Abs", "Exp", "HardSigmoid", "Softplus", "Sqrt", "Clip")
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
        low = view.attr(maker, "min")
        if low is None:
            given = view.constant_value(view.input_at(maker, 1))
            low = None if given is None or given.size != 1 else given.reshape(-1)[0]
        return low is not None and float(low) >= 0
    if view.is_op(maker, *_NEVER_NEGATIVE):
        return True
    if not view.is_op(maker, *_PASSES_ON):
        return False
    read = maker.inputs if maker.op in ("Add", "Mul", "Concat", "Max", "Min") else maker.inputs[:1]
    everything = all if maker.op != "Max" else any
    return everything(is_never_negative(t, depth - 1) for t in read)
