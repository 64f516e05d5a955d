"""What each operator demands of the values it reads, where a random number would be refused or give NaN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from dlarewrite.verify.domain import Domain, between, fixed, whole
from dlarewrite.verify.facts import Use

Demand = Callable[[Use], Domain | None]
POSITIVE = between(0.05, 8.0)
SMALL_COUNT = whole(1, 4)


def _pow(use: Use) -> Domain | None:
    exponent = use.constant(1)
    if use.index == 1:
        return whole(0, 3)
    if exponent is not None and bool(np.all(exponent == np.round(exponent))):
        return None if bool(np.all(exponent >= 0)) else POSITIVE
    return POSITIVE


def _complement(use: Use) -> Domain | None:
    # 1 - mask: an integer mask is 0 or 1, else its complement is scaled to an infinite bias.
    one = use.constant(0)
    return whole(0, 1) if use.integral and use.index == 1 and one is not None and bool(np.all(one == 1)) else None


def _clip(use: Use) -> Domain | None:
    return between(-2, -1) if use.index == 1 else between(1, 2) if use.index == 2 else None


def _range(use: Use) -> Domain | None:
    return (fixed(0), fixed(5), fixed(1))[use.index]


def _resize(use: Use) -> Domain | None:
    if use.index == len(use.node.input) - 1 and use.index == 3:
        doubled = [(size or 1) * (2 if axis > 1 else 1) for axis, size in enumerate(use.shape(0) or ())]
        sizes = use.out_shape() or tuple(doubled)
        return fixed(*(sizes[axis] for axis in use.attribute("axes", range(len(sizes))))) if sizes else None
    if use.index == 1 and len(use.node.input) > 2:  # the region of interest
        rank = len(use.shape(0) or ())
        return fixed(*([0.0] * rank + [1.0] * rank)) if rank else None
    rank = (use.size(use.index, 0) or 0) if use.index else 0
    return fixed(*(1.0 if axis < 2 else 2.0 for axis in range(rank))) if rank else None


def _boxes(count: int, *front: float) -> Domain:
    """`count` boxes, each after `front`: x1, y1, x2, y2 with the first corner below the second."""
    corners = ((*front, i % 3, i % 2 + 0.5, i % 3 + 3, i % 2 + 4.5 + i % 4) for i in range(count))
    return fixed(*(number for box in corners for number in box))


def _roi_align(use: Use) -> Domain | None:
    if use.index == 2:
        return whole(0, (use.size(0, 0) or 1) - 1)
    return _boxes(use.size(1, 0) or 0) if use.index == 1 else None


def _max_roi_pool(use: Use) -> Domain | None:
    return _boxes(use.size(1, 0) or 0, 0) if use.index == 1 else None


def _suppress(use: Use) -> Domain | None:
    return (between(0, 8), between(0, 1), whole(1, 4), between(0.3, 0.7), between(0, 0.3))[use.index]


def _lengths(axis: int) -> Demand:
    return lambda use: whole(1, use.size(0, use.attribute("time_axis", axis)) or 1) if use.index in (1, 4) else None


def _at(domain: Domain, *indices: int) -> Demand:
    return lambda use: domain if use.index in indices else None


def _whole_at(domain: Domain, *indices: int) -> Demand:
    """A demand that concerns integers only: dividing by a float that is not zero is no trouble."""
    return lambda use: domain if use.index in indices and use.integral else None


def _labels(use: Use) -> Domain | None:
    return whole(0, (use.size(0, 1) or 1) - 1) if use.index == 1 else None


def _sequence_lens(use: Use) -> Domain | None:
    layout = use.attribute("layout", 0)
    return whole(1, use.size(0, 1 if layout else 0) or 1) if use.index == 4 else None


def _divide(use: Use) -> Domain | None:
    if use.index != 1:
        return None
    return whole(1, 4) if use.integral else POSITIVE


DEMANDS: Mapping[str, Demand] = MappingProxyType(
    {
        "Sqrt": _at(between(0, 8), 0),
        "Log": _at(POSITIVE, 0),
        "Reciprocal": _at(POSITIVE, 0),
        "Pow": _pow,
        "Div": _divide,
        "Mod": _divide,
        "Sub": _complement,
        "Acos": _at(between(-1, 1), 0),
        "Asin": _at(between(-1, 1), 0),
        "Atanh": _at(between(-0.95, 0.95), 0),
        "Acosh": _at(between(1, 8), 0),
        "Tan": _at(between(-1.5, 1.5), 0),
        "BitShift": _whole_at(whole(0, 7), 1),
        "Clip": _clip,
        "BatchNormalization": _at(POSITIVE, 4),
        "QuantizeLinear": _at(POSITIVE, 1),
        "DequantizeLinear": _at(POSITIVE, 1),
        "QLinearConv": _at(POSITIVE, 1, 4, 6),
        "QLinearMatMul": _at(POSITIVE, 1, 4, 6),
        "Bernoulli": _at(between(0, 1), 0),
        "Dropout": lambda use: (None, between(0, 0.5), fixed(0))[use.index],
        "GridSample": _at(between(-1.1, 1.1), 1),
        "Range": _range,
        "Resize": _resize,
        "Upsample": _resize,
        "RoiAlign": _roi_align,
        "MaxRoiPool": _max_roi_pool,
        "NonMaxSuppression": _suppress,
        "ReverseSequence": _lengths(0),
        "LSTM": _sequence_lens,
        "GRU": _sequence_lens,
        "RNN": _sequence_lens,
        "NegativeLogLikelihoodLoss": _labels,
        "SoftmaxCrossEntropyLoss": _labels,
        "Loop": lambda use: (whole(2, 4), fixed(1))[use.index] if use.index < 2 else None,
    }
)
"""By operator; an operator that is absent takes any finite number."""
