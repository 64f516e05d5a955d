"""Which rule carries which operator, for rules that do the same arithmetic on the same elements."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dlarewrite.rewrite.carry import Rule
from dlarewrite.rewrite.carry_pieces import concat, gathering, padding, reducing, slicing, splitting, summing
from dlarewrite.rewrite.carry_plain import (
    batch_normalization,
    broadcasting,
    global_pool,
    prelu,
    reshaping,
    resize,
    softmax,
    transposing,
    unary,
)

_UNARY = [
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "Clip",
    "HardSigmoid",
    "HardSwish",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "ThresholdedRelu",
    "Mish",
    "Gelu",
    "Abs",
    "Neg",
    "Exp",
    "Log",
    "Sqrt",
    "Reciprocal",
    "Erf",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Identity",
    "Dropout",
    "Cast",
    "Swish",
]
_SUMS = ["ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"]

EXACT_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(_UNARY, unary),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean"), broadcasting),
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshaping),
        "Transpose": transposing,
        "PRelu": prelu,
        "BatchNormalization": batch_normalization,
        "Softmax": softmax,
        "LogSoftmax": softmax,
        "Concat": concat,
        "Slice": slicing,
        "Split": splitting,
        "Gather": gathering,
        **dict.fromkeys(("ReduceMax", "ReduceMin"), reducing),
        **dict.fromkeys(_SUMS, summing),
        "Pad": padding,
        "GlobalAveragePool": global_pool,
        "GlobalMaxPool": global_pool,
        "Resize": resize,
    }
)
"""Operators whose carried form does the same arithmetic on the same elements."""

SUM_RULES: Mapping[str, Rule] = MappingProxyType(dict.fromkeys(_SUMS, reducing))
"""Sums whose carried form may add in another order."""

MOVES = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"))
"""Operators that are gone once their tensor is carried."""
