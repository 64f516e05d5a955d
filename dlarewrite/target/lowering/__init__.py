"""What TensorRT sees: each ONNX node as the layers that its parser makes, by opset and attributes."""

from __future__ import annotations

from dlarewrite.target.facts import Layer, NodeView, PlainFacts
from dlarewrite.target.lowering.table import COMPUTED, Lowering, fixed, without_layer

__all__ = ["COMPUTED", "Lowering", "fixed", "lower", "lowering_of", "without_layer"]


def lowering_of(op: str) -> Lowering | None:
    """The function that lowers an operator of the default domain; None for an operator that ONNX does not know."""
    computed = COMPUTED.get(op)
    if computed is not None:
        return computed
    kind = fixed().get(op) or ("NoLayer" if op in without_layer() else None)
    return None if kind is None else _always(kind)


def _always(kind: str) -> Lowering:
    def lower_always(view: NodeView) -> tuple[Layer, ...]:
        return (Layer(kind, PlainFacts(view, len(view.xs) if view.xs is not None else 4)),)

    return lower_always


def lower(view: NodeView) -> tuple[Layer, ...]:
    """The layers of a node; empty for an operator that is unknown."""
    how = lowering_of(view.op)
    return () if how is None else how(view)
