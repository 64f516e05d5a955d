"""Where the results of sums, products and extremes lie, from where their operands do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import attr, shape
from dlarewrite.precision.span import Operand, Span, bound, ends, first, passed, spans


def added(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """Add, Sub and Sum."""
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


def multiplied(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """Mul, and Div by constants; one factor of all elements leaves the values what they are."""
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


def extreme(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """Max and Min."""
    if any(o is None for o in operands) or not spans(operands):
        return None
    pick = max if node.op == "Max" else min
    every = [ends(o) for o in operands if o is not None]
    return passed(pick(low for low, _ in every), pick(high for _, high in every), operands)


def normalised(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """BatchNormalization with constant statistics: a factor and a shift per channel."""
    x = first(operands)
    numbers = [np.asarray(o, np.float64) for o in operands[1:5] if isinstance(o, np.ndarray)]
    if x is None or len(numbers) != 4:
        return None
    gamma, beta, mean, variance = numbers
    factor = gamma / np.sqrt(variance + float(attr(node, "epsilon", 1e-5)))
    corners = np.stack([(end - mean) * factor + beta for end in (x.low, x.high)])
    return bound(float(corners.min()), float(corners.max()), [x])


def total(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """ReduceSum: as many values as the result has fewer of."""
    x, before, after = first(operands), shape(node.inputs[0]), shape(node.outputs[0])
    if x is None or before is None or after is None or not math.prod(after):
        return None
    count = math.prod(before) // math.prod(after)
    return bound(min(x.low, 0.0) * count, max(x.high, 0.0) * count, [x])
