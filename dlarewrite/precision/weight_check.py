"""Whether TensorRT comes to the scales of weights that a Q/DQ model was trained with.

With a calibration cache TensorRT quantises weights itself: per output channel, with max|w| / 127 [Q-SYM]. Weights that
a Q/DQ pair has put on another grid are then rounded a second time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array, attr, input_at, is_op, label
from dlarewrite.precision.scales import LEVELS

_NOTHING = 1e-3
"""Steps; float32 rounding of a weight that stands on the grid is some 1e-5."""


@dataclass(frozen=True)
class Requantised:
    """``channels`` of the layer's ``of`` output channels get another grid; ``worst`` is the largest change of a weight
    in steps of TensorRT's grid, at most 0.5."""

    node: str
    channels: int
    of: int
    worst: float

    def __str__(self) -> str:
        return (
            f"layer {self.node!r}: {self.channels} of {self.of} output channels have weights whose scale is not "
            f"max|w| / {LEVELS}, which TensorRT takes; they change by up to {self.worst:.2g} steps"
        )


def check_weights(model: Model, folded: Container[int]) -> tuple[Requantised, ...]:
    """The layers whose weight is one of the ``folded`` constants (by ``id``) and gets another grid."""
    return tuple(_check(model, folded))


def _check(model: Model, folded: Container[int]) -> Iterator[Requantised]:
    for node in model.nodes:
        weight = input_at(node, 1) if is_op(node, "Conv", "ConvTranspose", "Gemm", "MatMul") else None
        values = value_of(weight) if weight is not None and id(weight) in folded else None
        if values is None or values.ndim < 2:
            continue
        rows = by_channel(node, values).astype(np.float64)
        step = np.abs(rows).max(axis=1, keepdims=True) / LEVELS
        scaled = rows / np.where(step > 0, step, 1.0)
        change = np.abs(scaled - np.rint(scaled)).max(axis=1)
        moved = int((change > _NOTHING).sum())
        if moved:
            yield Requantised(label(node), moved, len(rows), float(change.max()))


def by_channel(node: gs.Node, weight: Array) -> Array:
    """The weight of a Conv, ConvTranspose, Gemm or MatMul as [output channels, rest]."""
    if node.op == "ConvTranspose":
        # [C, K / groups, ...]: each group has its own outputs.
        groups = int(attr(node, "group", 1))
        split = weight.reshape(groups, -1, *weight.shape[1:])
        return np.moveaxis(split, 2, 1).reshape(groups * weight.shape[1], -1)
    axis = channel_axis(node, weight.ndim)
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def channel_axis(node: gs.Node, rank: int) -> int:
    """The weight's axis of output channels; of one group's, for ConvTranspose."""
    if node.op == "Gemm":
        return 0 if attr(node, "transB", 0) else 1
    return {"Conv": 0, "ConvTranspose": 1}.get(node.op, rank - 1)
