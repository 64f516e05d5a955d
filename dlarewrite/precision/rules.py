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

from dlarewrite.ir.view import attr, dtype, shape
from dlarewrite.precision.linear_span import linear
from dlarewrite.precision.scales import FIXED_SIGMOID, Certainty
from dlarewrite.precision.span import Operand, Span, bound, ends, passed, spans, union

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


def _first(operands: Sequence[Operand]) -> Span | None:
    return operands[0] if isinstance(operands[0], Span) else None


def _same(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    return None if x is None else passed(x.low, x.high, [x])


def _cast(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    if dtype(node.inputs[0]) == np.bool_:
        return bound(0.0, 1.0, ())
    return _same(node, operands)


def _average(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    return None if x is None else passed(min(x.low, 0.0), max(x.high, 0.0), [x])


def _resize(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    # Cubic kernels overshoot.
    return None if attr(node, "mode", "nearest") == "cubic" else _average(node, operands)


def _clip(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
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
        x = _first(operands)
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
    x = _first(operands)
    return None if x is None else passed(max(x.low, 0.0), max(x.high, 0.0), [x])


def _slopes(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    slope = operands[1] if len(operands) > 1 else np.asarray(attr(node, "alpha", 0.01))
    if x is None or not isinstance(slope, np.ndarray) or not slope.size:
        return None
    every = [x.low, x.high] + ([0.0] if x.low < 0 < x.high else [])
    made = [v if v >= 0 else v * float(s) for v in every for s in (slope.min(), slope.max())]
    return (passed if np.abs(slope).max() <= 1 else bound)(min(made), max(made), [x])


def _sign(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    if x is None:
        return None
    return passed(-x.high, -x.low, [x]) if node.op == "Neg" else passed(max(x.low, -x.high, 0.0), x.amax, [x])


def _sum(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    known = [o for o in operands if o is not None]
    if len(known) != len(operands) or not spans(operands):
        return None
    low, high = ends(known[0])
    for other in known[1:]:
        a, b = ends(other)
        low, high = (low - b, high - a) if node.op == "Sub" else (low + a, high + b)
    constants = [o for o in known if isinstance(o, np.ndarray)]
    only_zeros = len(constants) == len(known) - 1 and not any(c.any() for c in constants)
    return (passed if only_zeros else bound)(low, high, operands)


def _product(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    if len(operands) != 2 or any(o is None for o in operands) or not spans(operands):
        return None
    a, b = (o for o in operands if o is not None)
    if node.op == "Div":
        if not isinstance(b, np.ndarray) or not b.size or not np.abs(b).min() > 0:
            return None
        b = 1.0 / np.asarray(b, np.float64)
    if isinstance(a, np.ndarray):
        a, b = b, a
    corners = [x * y for x in ends(a) for y in ends(b)]
    if isinstance(b, np.ndarray):
        factors = np.unique(np.abs(b[b != 0]))
        if factors.size == 1 or not factors.size:
            factor = float(factors[0]) if factors.size else 1.0
            return passed(min(corners), max(corners), [a], "" if factor == 1 else f"times {factor:g}")
    return bound(min(corners), max(corners), operands)


def _power(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
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


def _extreme(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    if any(o is None for o in operands) or not spans(operands):
        return None
    pick = max if node.op == "Max" else min
    every = [ends(o) for o in operands if o is not None]
    return passed(pick(low for low, _ in every), pick(high for _, high in every), operands)


def _pad(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    if x is None or attr(node, "mode", "constant") != "constant":
        return _same(node, operands)
    fill: Operand = np.asarray(float(attr(node, "value", 0.0)))
    if len(node.inputs) > 2 and node.inputs[2].name:
        fill = operands[2]
    return union([x, fill])


def _choice(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    return union(operands[1:])


def _normalised(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """BatchNormalization with constant statistics: a factor and a shift per channel."""
    x = _first(operands)
    numbers = [np.asarray(o, np.float64) for o in operands[1:5] if isinstance(o, np.ndarray)]
    if x is None or len(numbers) != 4:
        return None
    gamma, beta, mean, variance = numbers
    factor = gamma / np.sqrt(variance + float(attr(node, "epsilon", 1e-5)))
    corners = np.stack([(end - mean) * factor + beta for end in (x.low, x.high)])
    return bound(float(corners.min()), float(corners.max()), [x])


def _total(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """ReduceSum: as many values as the result has fewer of."""
    x, before, after = _first(operands), shape(node.inputs[0]), shape(node.outputs[0])
    if x is None or before is None or after is None or not math.prod(after):
        return None
    count = math.prod(before) // math.prod(after)
    return bound(min(x.low, 0.0) * count, max(x.high, 0.0) * count, [x])


def _local_response(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x = _first(operands)
    if x is None or float(attr(node, "bias", 1.0)) < 1 or float(attr(node, "beta", 0.75)) < 0:
        return None
    return bound(min(x.low, 0.0), max(x.high, 0.0), [x])


def _elu(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    x, alpha = _first(operands), float(attr(node, "alpha", 1.0))
    return None if x is None or alpha < 0 else bound(min(0.0, -alpha), max(x.high, 0.0), [x])


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(MOVES, _same),
        **dict.fromkeys(AVERAGES, _average),
        **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), linear),
        **dict.fromkeys(("Add", "Sub", "Sum"), _sum),
        **dict.fromkeys(("Mul", "Div"), _product),
        **dict.fromkeys(("Max", "Min"), _extreme),
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
        "BatchNormalization": _normalised,
        "ReduceSum": _total,
        "LRN": _local_response,
    }
)
