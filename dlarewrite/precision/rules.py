"""What each operator makes of the spans of its inputs: the values themselves, a bound, or nothing that is known.

Equal scales that the DLA demands anyway (pools, Q-EQ) count as the same values. Sources: the operators' definitions in
ONNX; Q-PROP and Q-SIGMOID for what NVIDIA's translator copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import attr, dtype
from dlarewrite.precision.arithmetic_span import added, extreme, multiplied, normalised, total
from dlarewrite.precision.linear_span import linear
from dlarewrite.precision.scales import FIXED_SIGMOID, Certainty
from dlarewrite.precision.span import Operand, Span, bound, first, passed, spans, union

Rule = Callable[[gs.Node, Sequence[Operand]], "Span | None"]

# fmt: off
MOVES = frozenset(
    {
        "Identity", "Dropout", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose",
        "Expand", "Tile", "Slice", "Split", "Gather", "GatherElements", "GatherND", "DepthToSpace", "SpaceToDepth",
        "ReverseSequence", "Upsample", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin",
    }
)
# fmt: on
"""Operators whose results are values of their first input."""

AVERAGES = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean"})


def derive(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """Where the outputs of a standard-domain node lie; None where that is not known."""
    if (node.domain or "") not in ("", "ai.onnx") or not operands:
        return None
    rule = RULES.get(node.op)
    return None if rule is None else rule(node, operands)


def _same(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    return None if x is None else passed(x.low, x.high, [x])


def _cast(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    if dtype(node.inputs[0]) == np.bool_:
        return bound(0.0, 1.0, ())
    return _same(node, operands)


def _average(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    return None if x is None else passed(min(x.low, 0.0), max(x.high, 0.0), [x])


def _resize(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    # Cubic kernels overshoot.
    return None if attr(node, "mode", "nearest") == "cubic" else _average(node, operands)


def _clip(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    low, high = (_limit(node, operands, index, name) for index, name in ((1, "min"), (2, "max")))
    if math.isnan(low) or math.isnan(high):
        return None
    if x is None:
        return bound(low, high, ()) if math.isfinite(low) and math.isfinite(high) else None
    return passed(min(max(x.low, low), high), min(max(x.high, low), high), [x])


def _limit(node: gs.Node, operands: Sequence[Operand], index: int, name: str) -> float:
    """A bound of a Clip; infinite where there is none, NaN where it is computed."""
    none = -math.inf if name == "min" else math.inf
    if index >= len(node.inputs) or not node.inputs[index].name:
        return float(attr(node, name, none))
    given = operands[index]
    return float(given.reshape(-1)[0]) if isinstance(given, np.ndarray) and given.size == 1 else math.nan


def _monotone(function: Callable[[float], float], least: float = math.inf) -> Rule:
    """A function that grows with x, except that it may dip down to ``least`` somewhere."""

    def rule(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
        x = first(operands)
        if x is None:
            return None
        try:
            low, high = function(x.low), function(x.high)
        except (OverflowError, ValueError):
            return None
        return bound(min(low, high, least), max(low, high), [x])

    return rule


def _within(low: float, high: float) -> Rule:
    """A function whose values lie between two numbers, and so does its bound."""

    def rule(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
        return bound(low, high, operands)

    return rule


def _sigmoid(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    names = tuple(name for s in spans(operands) for name in s.of)
    return Span(0.0, FIXED_SIGMOID, Certainty.FIXED, names)


def _relu(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    return None if x is None else passed(max(x.low, 0.0), max(x.high, 0.0), [x])


def _slopes(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    slope = operands[1] if len(operands) > 1 else np.asarray(attr(node, "alpha", 0.01))
    if x is None or not isinstance(slope, np.ndarray) or not slope.size:
        return None
    every = [x.low, x.high] + ([0.0] if x.low < 0 < x.high else [])
    made = [v if v >= 0 else v * float(s) for v in every for s in (slope.min(), slope.max())]
    return (passed if np.abs(slope).max() <= 1 else bound)(min(made), max(made), [x])


def _sign(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    if x is None:
        return None
    return passed(-x.high, -x.low, [x]) if node.op == "Neg" else passed(max(x.low, -x.high, 0.0), x.amax, [x])


def _power(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    exponent = operands[1] if len(operands) > 1 else None
    if x is None or not isinstance(exponent, np.ndarray) or exponent.size != 1:
        return None
    power = float(exponent.reshape(-1)[0])
    if power <= 0 or (x.low < 0 and not power.is_integer()):
        return None
    try:
        corners = [x.low**power, x.high**power]
    except OverflowError:
        return None
    return bound(min(*corners, 0.0 if x.low < 0 < x.high else math.inf), max(corners), [x])


def _pad(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    if x is None or attr(node, "mode", "constant") != "constant":
        return _same(node, operands)
    fill: Operand = np.asarray(float(attr(node, "value", 0.0)))
    if len(node.inputs) > 2 and node.inputs[2].name:
        fill = operands[2]
    return union([x, fill])


def _choice(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    return union(operands[1:])


def _local_response(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = first(operands)
    if x is None or float(attr(node, "bias", 1.0)) < 1 or float(attr(node, "beta", 0.75)) < 0:
        return None
    return bound(min(x.low, 0.0), max(x.high, 0.0), [x])


def _elu(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x, alpha = first(operands), float(attr(node, "alpha", 1.0))
    return None if x is None or alpha < 0 else bound(min(0.0, -alpha), max(x.high, 0.0), [x])


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(MOVES, _same),
        **dict.fromkeys(AVERAGES, _average),
        **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), linear),
        **dict.fromkeys(("Add", "Sub", "Sum"), added),
        **dict.fromkeys(("Mul", "Div"), multiplied),
        **dict.fromkeys(("Max", "Min"), extreme),
        **dict.fromkeys(("LeakyRelu", "PRelu"), _slopes),
        **dict.fromkeys(("Neg", "Abs"), _sign),
        **dict.fromkeys(("Erf", "Softsign", "Sin", "Cos", "Sign"), _within(-1.0, 1.0)),
        **dict.fromkeys(("Softmax", "HardSigmoid", "Hardmax"), _within(0.0, 1.0)),
        "Cast": _cast,
        "Resize": _resize,
        "Clip": _clip,
        "Relu": _relu,
        "Sigmoid": _sigmoid,
        "Tanh": _monotone(math.tanh),
        "Exp": _monotone(math.exp),
        "Sqrt": _monotone(math.sqrt),
        "Atan": _monotone(math.atan),
        "Softplus": _monotone(lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))),
        "HardSwish": _monotone(lambda x: x * min(max(x + 3, 0.0), 6.0) / 6, least=-0.375),
        "Elu": _elu,
        "Pow": _power,
        "Concat": lambda node, operands: union(operands),
        "Pad": _pad,
        "Where": _choice,
        "BatchNormalization": normalised,
        "ReduceSum": total,
        "LRN": _local_response,
    }
)
