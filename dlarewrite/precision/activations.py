"""Which tensors INT8 needs scales for."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from dlarewrite.ir.model import Model
from dlarewrite.ir.view import dtype, is_float
from dlarewrite.target.constness import GraphConstness


def activations(model: Model) -> Iterator[gs.Tensor]:
    """Floating-point inputs and results that depend on the inputs, each once, in order.

    A tensor of unknown type counts. Constants, what can be computed from constants and shapes alone, integers and
    booleans, and empty tensors do not.
    """
    constness = GraphConstness(model.nodes)
    made = (t for node in model.nodes if not constness.node(node) for t in node.outputs)
    seen: set[str] = set()
    for tensor in (*model.inputs, *made):
        if tensor.name and tensor.name not in seen and _counts(tensor):
            seen.add(tensor.name)
            yield tensor


def _counts(tensor: gs.Tensor) -> bool:
    return (is_float(tensor) or dtype(tensor) is None) and 0 not in (tensor.shape or ())
