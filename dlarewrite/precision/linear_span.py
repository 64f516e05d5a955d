"""Where the results of layers with constant weights lie: by the sums of weights that one result is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.view import Array, attr, ints
from dlarewrite.precision.scales import Certainty
from dlarewrite.precision.span import Operand, Span, bound, passed

_ONE = 1 + 1e-5
"""A sum of weights up to which results count as averages: what float32 makes of 1/9 nine times."""

_GAIN = 4.0
"""Sum of magnitudes up to which a layer interpolates or takes differences rather than learns."""


@dataclass(frozen=True)
class Rows:
    """Per kind of result: the sum of the positive weights, that of the negative ones, how many, and the bias."""

    positive: Array
    negative: Array
    count: Array
    bias: Array


def linear(node: gs.Node, operands: Sequence[Operand]) -> Span | None:
    """The span of a Conv, ConvTranspose, Gemm or MatMul with constant weights; None for other weights.

    Results that are single inputs times one factor, or averages of inputs, inherit; for others the sums are a bound,
    unless the input is only bounded itself and the weights add up to more than ``_GAIN``.
    """
    index = 1 if isinstance(operands[0], Span) else 0
    x, weight = operands[index - 1] if index else operands[1], operands[index]
    if not isinstance(x, Span) or not isinstance(weight, np.ndarray):
        return None
    rows = _rows(node, np.asarray(weight, np.float64), index, operands)
    if rows is None:
        return None
    x = x.with_zero() if node.op in ("Conv", "ConvTranspose") else x
    factor = _single(rows)
    if factor is not None:
        reach = x.amax * factor
        low, high = (-reach, reach) if rows.negative.any() else (x.low * factor, x.high * factor)
        return passed(low, high, operands, "" if abs(factor - 1) < 1e-6 else f"times {factor:g}")
    if not rows.bias.any() and not rows.negative.any() and 1 / _ONE <= rows.positive.max() <= _ONE:
        return passed(x.low, x.high, operands)
    if x.certainty is Certainty.BOUND and (rows.positive - rows.negative).max() > _GAIN:
        return None  # a bound of a bound over hundreds of weights says nothing any more
    highest = rows.positive * x.high + rows.negative * x.low + rows.bias
    lowest = rows.positive * x.low + rows.negative * x.high + rows.bias
    return bound(float(lowest.min()), float(highest.max()), operands)


def selected(node: gs.Node, operands: Sequence[Array | None]) -> float | None:
    """The factor of a Conv or ConvTranspose whose results are single inputs times it; None for any other."""
    weight = operands[1]
    rows = None if weight is None else _rows(node, np.asarray(weight, np.float64), 1, operands)
    return None if rows is None else _single(rows)


def _single(rows: Rows) -> float | None:
    factors = (rows.positive - rows.negative)[rows.count > 0]
    if rows.bias.any() or not factors.size or rows.count.max() > 1 or np.ptp(factors) > 1e-6 * factors.max():
        return None
    return float(factors.max())


def _rows(node: gs.Node, weight: Array, index: int, operands: Sequence[Operand]) -> Rows | None:
    """The weights by results; None where the bias is not constant."""
    bias: Array = np.zeros(1)
    extra = operands[2] if len(operands) > 2 else None
    if extra is not None:
        if not isinstance(extra, np.ndarray):
            return None
        bias = np.asarray(extra, np.float64)
    elif len(node.inputs) > 2 and node.inputs[2].name:
        return None
    if node.op == "Conv":
        return _summed(weight.reshape(weight.shape[0], -1), bias.reshape(-1))
    if node.op == "ConvTranspose":
        return _transposed(node, weight, bias)
    if node.op == "Gemm":
        stored_by_result = bool(attr(node, "transB", 0)) if index == 1 else not attr(node, "transA", 0)
        table = (weight if stored_by_result else weight.T) * float(attr(node, "alpha", 1.0))
        bias = bias * float(attr(node, "beta", 1.0))
        # A bias per result goes with its row; any other shape is met by its extremes.
        return _summed(table, bias.reshape(-1) if index == 1 and bias.size == len(table) else _extremes(bias))
    if weight.ndim < 2:
        return _summed(weight.reshape(1, -1), bias)
    by_result = np.moveaxis(weight, -2, -1) if index == 1 else weight
    return _summed(by_result.reshape(-1, by_result.shape[-1]), bias)


def _transposed(node: gs.Node, weight: Array, bias: Array) -> Rows:
    """A result of a ConvTranspose meets only the taps of one phase of the strides."""
    groups = int(attr(node, "group", 1))
    spatial = weight.shape[2:]
    strides, dilations = (ints(node, name, (1,) * len(spatial)) for name in ("strides", "dilations"))
    phase = np.zeros(spatial, np.int64)
    for axis, (size, stride, dilation) in enumerate(zip(spatial, strides, dilations, strict=True)):
        steps = (np.arange(size) * dilation % stride).reshape([-1 if i == axis else 1 for i in range(len(spatial))])
        phase = phase * stride + steps
    parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    split = [parts[..., phase.reshape(-1) == p] for p in np.unique(phase)]
    tables = [np.moveaxis(part, 2, 1).reshape(groups * weight.shape[1], -1) for part in split]
    made = [_summed(table, np.broadcast_to(bias.reshape(-1), len(table))) for table in tables]
    return Rows(*(np.concatenate([getattr(m, name) for m in made]) for name in Rows.__dataclass_fields__))


def _summed(table: Array, bias: Array) -> Rows:
    positive, negative = np.maximum(table, 0).sum(1), np.minimum(table, 0).sum(1)
    if bias.size not in (1, len(table)):
        # One row for each end of the bias.
        positive, negative, table = np.tile(positive, 2), np.tile(negative, 2), np.tile(table, (2, 1))
        bias = np.repeat(_extremes(bias), len(table) // 2)
    return Rows(positive, negative, np.count_nonzero(table, axis=1), np.broadcast_to(bias, len(table)))


def _extremes(bias: Array) -> Array:
    return np.array([bias.min(), bias.max()]) if bias.size > 1 else bias.reshape(-1)
