"""What TensorRT sees: each ONNX node as the layers that its parser makes, by opset and attributes."""

from __future__ import annotations

from dlarewrite.target.facts import Layer, NodeView, PlainFacts
from dlarewrite.target.lowering.table import COMPUTED, FIXED, NOT_IMPORTED, Lowering

__all__ = ["COMPUTED", "FIXED", "NOT_IMPORTED", "Lowering", "lower", "lowering_of"]


def lowering_of(op: str) -> Lowering | None:
    """The function that lowers an operator of the default domain; None for an operator that ONNX does not know."""
    computed = COMPUTED.get(op)
    if computed is not None:
        return computed
    kinds = FIXED.get(op)
    if kinds is None and op in NOT_IMPORTED:
        kinds = ("NotImported",)
    return None if kinds is None else _fixed(kinds)


def _fixed(kinds: tuple[str, ...]) -> Lowering:
    def lower_fixed(view: NodeView) -> tuple[Layer, ...]:
        facts = PlainFacts(view, len(view.xs) if view.xs is not None else 4)
        return tuple(Layer(kind, facts) for kind in kinds)

    return lower_fixed


def lower(view: NodeView) -> tuple[Layer, ...]:
    """The layers of a node; empty for an operator that is unknown."""
    how = lowering_of(view.op)
    return () if how is None else how(view)
