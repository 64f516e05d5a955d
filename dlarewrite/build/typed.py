"""The model that a strongly typed TensorRT builds: FP16 where the given one is FP32, since the DLA has no FP32."""

from __future__ import annotations

import numpy as np

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import dtype, is_op
from dlarewrite.precision.typed_out import Typed, to_half


def in_half(model: Model, *, keep_io: bool) -> Typed | None:
    """A copy of ``model`` in FP16; None where nothing in it is FP32, or Q/DQ nodes are its own way to INT8.

    Layers without an FP16 form stay FP32 between Casts; :class:`Typed` names them.
    """
    if any(is_op(node, "QuantizeLinear", "DequantizeLinear") for node in model.nodes):
        return None
    if not any(dtype(tensor) == np.float32 for node in model.nodes for tensor in node.outputs):
        return None
    return to_half(model, keep_io=keep_io)
