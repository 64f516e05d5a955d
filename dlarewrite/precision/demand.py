"""What a tensor's readers need of it: a scale found backwards, from the results of operators that keep values.

Whatever a Relu, a MaxPool or a crop takes away may saturate: the result is the same. A partial sum is another matter:
it may be larger than the sum, and takes the sum's scale only where its own bound costs more than a bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import attr, consumers, is_op
from dlarewrite.precision.linear_span import selected
from dlarewrite.precision.rules import MOVES
from dlarewrite.precision.scales import Certainty, Scale

_MOVES = MOVES - {"GatherElements", "GatherND"}
_TRANSPARENT = _MOVES | {"Relu", "Clip", "Concat", "Pad", "Max", "Min", "Neg", "Abs", "Resize"}
"""A value beyond the result's amax, brought back to that amax, gives the same result. Averages are not among them."""


@dataclass(frozen=True)
class Demand:
    """The largest magnitude that readers tell apart; ``partial`` where the tensor is a part of a sum."""

    amax: float
    of: str
    through: str
    certainty: Certainty
    partial: bool = False

    def scale(self) -> Scale:
        """As a table entry."""
        return Scale(self.amax, f"of tensor {self.of} back through {self.through}", self.certainty)


def demanded(tensor: gs.Tensor, known: Mapping[str, Scale]) -> Demand | None:
    """What all readers together need; None where one of them cannot say."""
    found: Demand | None = None
    readers = consumers(tensor)
    for node in readers:
        one = _by(node, tensor, known)
        if one is None:
            return None
        if found is None or one.amax > found.amax:
            found = one if found is None else replace(one, partial=one.partial or found.partial)
    return found


def _by(node: gs.Node, tensor: gs.Tensor, known: Mapping[str, Scale]) -> Demand | None:
    if (node.domain or "") not in ("", "ai.onnx") or not node.outputs:
        return None
    if any(t is tensor for t in node.inputs[1:]) and not is_op(
        node, "Concat", "Add", "Sum", "Max", "Min", "Mul", "Sub"
    ):
        return None
    scales = {t.name: known.get(t.name) for t in node.outputs if t.name and (t.outputs or len(node.outputs) == 1)}
    largest = max((s.amax for s in scales.values() if s is not None), default=0.0)
    if not largest or any(s is None for s in scales.values()):
        return None
    name, held = next((n, s) for n, s in scales.items() if s is not None and s.amax == largest)
    weak = held.certainty is Certainty.BOUND
    found = Demand(largest, name, node.op, Certainty.BOUND if weak else Certainty.INHERITED)
    if node.op in _TRANSPARENT:
        return None if attr(node, "mode") == "cubic" else found
    if node.op in ("Add", "Sum", "Sub"):
        return _part(node, tensor, found)
    factor = _factor(node, tensor)
    return None if factor is None else replace(found, amax=largest / factor)


def _part(node: gs.Node, tensor: gs.Tensor, result: Demand) -> Demand:
    """An operand of a sum; beside a constant one it is bounded."""
    others = [t for t in node.inputs if t is not tensor]
    constant = value_of(others[0]) if len(others) == 1 else None
    if constant is None or not constant.size:
        return replace(result, partial=True)
    return replace(result, amax=result.amax + float(np.abs(constant).max()), certainty=Certainty.BOUND)


def _factor(node: gs.Node, tensor: gs.Tensor) -> float | None:
    """What all elements are multiplied with that the node does not take away; None where it does something else."""
    if node.op in ("Conv", "ConvTranspose"):
        return selected(node, [value_of(t) if t.name else None for t in node.inputs])
    if node.op not in ("Mul", "Div") or (node.op == "Div" and node.inputs[0] is not tensor):
        return None
    other = next((t for t in node.inputs if t is not tensor), None)
    value = None if other is None else value_of(other)
    factors = np.unique(np.abs(value[value != 0])) if value is not None else np.zeros(0)
    if factors.size != 1:
        return None
    return float(factors[0]) if node.op == "Mul" else 1.0 / float(factors[0])
