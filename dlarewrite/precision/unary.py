"""The scale 1.0 that stands for no scale: what a Conv hands to an Add, which DLA software 3.13 and later fuse.

In a table such an entry is marked; in a calibration cache, as NVIDIA's translator writes it, only the value and the
place tell. The tensor between the two never exists in INT8, so that nothing may round it, inherit from it, or have to
share a scale with it. Source: fact base Q-CONVADD.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import is_op, producer
from dlarewrite.precision.scales import LEVELS, Certainty, Scale, ScaleTable

_MARK = "1.0 stands for no scale between Conv and Add, which DLA software 3.13 and later fuses"

UNARY = Scale(float(LEVELS), _MARK, Certainty.FIXED)
"""The marked entry."""


def is_unary(scale: Scale) -> bool:
    """Whether the entry is marked as none."""
    return scale.certainty is Certainty.FIXED and scale.source == _MARK


def stands_for_none(tensor: gs.Tensor, scale: Scale | None) -> bool:
    """Whether the entry is marked as none, or is exactly 1.0 by a cache or a Q/DQ pair, between a Conv and an Add."""
    if scale is None:
        return False
    return is_unary(scale) or (scale.certainty is Certainty.EXACT and scale.scale == 1.0 and between(tensor))


def between(tensor: gs.Tensor) -> bool:
    """Whether an Add is the only reader, and a Conv the maker; a BatchNormalization, to be folded, may lie on the way.

    Each tensor on the way has one reader.
    """
    while len(tensor.outputs) == 1 and is_op(tensor.outputs[0], "BatchNormalization") and _made_by_conv(tensor):
        tensor = tensor.outputs[0].outputs[0]
    return len(tensor.outputs) == 1 and is_op(tensor.outputs[0], "Add") and _made_by_conv(tensor)


def marked(table: ScaleTable, model: Model) -> ScaleTable:
    """The table of ``model`` with every entry that stands for none marked."""
    tensors = (t for node in model.nodes for t in node.outputs)
    found = {t.name: UNARY for t in tensors if stands_for_none(t, table.get(t.name))}
    return replace(table, scales={**table.scales, **found}) if found else table


def _made_by_conv(tensor: gs.Tensor) -> bool:
    maker = producer(tensor)
    if maker is not None and is_op(maker, "BatchNormalization") and len(maker.inputs[0].outputs) == 1:
        maker = producer(maker.inputs[0])
    return maker is not None and is_op(maker, "Conv")
