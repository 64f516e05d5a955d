"""Tensors that are a function of one other tensor, element by element: their range by evaluation, not by a bound.

What stands in place of an activation is a handful of such operators. Bounds multiply what can never meet, as in
x * clip(x + 3), and soon say nothing; a few thousand points over the range of x say what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_graphsurgeon as gs

from dlarewrite.ir.operand import value_of
from dlarewrite.ir.view import Array, attr
from dlarewrite.precision.scales import Certainty
from dlarewrite.precision.span import Span

_POINTS = 4096
_FEWEST = 2
"""Operators from which on the evaluation beats the operator's own rule."""


@dataclass(frozen=True)
class Curve:
    """``values`` at points over the range of tensor ``root``; ``steps`` operators lie between."""

    root: str
    values: Array
    steps: int

    def span(self) -> Span | None:
        """The range, or None where it is not finite or one operator's own rule does as well."""
        if self.steps < _FEWEST or not np.isfinite(self.values).all() or not self.values.any():
            return None
        note = f"after {self.steps - 1} more, by evaluation"
        return Span(float(self.values.min()), float(self.values.max()), Certainty.BOUND, (self.root,), note)


def start(name: str, span: Span) -> Curve:
    """The tensor itself; 0, where many functions bend, is among the points."""
    points = np.linspace(span.low, span.high, _POINTS)
    return Curve(name, np.append(points, 0.0) if span.low < 0 < span.high else points, 0)


def follow(node: gs.Node, curves: Mapping[str, Curve]) -> Curve | None:
    """The result's curve, where all activations that the node reads are functions of one tensor."""
    function = _FUNCTIONS.get(node.op) if (node.domain or "") in ("", "ai.onnx") else None
    if function is None or len(node.outputs) != 1:
        return None
    known: list[Curve] = []
    operands: list[Array] = []
    for tensor in node.inputs:
        curve = curves.get(tensor.name)
        value = None if curve is not None or not tensor.name else value_of(tensor)
        if curve is not None:
            known.append(curve)
            operands.append(curve.values)
        elif value is not None and value.size == 1 and value.dtype.kind == "f":
            operands.append(np.asarray(float(value.reshape(-1)[0])))
        else:
            return None
    if not known or len({c.root for c in known}) != 1:
        return None
    with np.errstate(all="ignore"):
        values = function(node, operands)
    return None if values is None else Curve(known[0].root, values, 1 + max(c.steps for c in known))


def _clip(node: gs.Node, operands: list[Array]) -> Array | None:
    if len(operands) == 1:
        return np.clip(operands[0], float(attr(node, "min", -np.inf)), float(attr(node, "max", np.inf)))
    return np.clip(operands[0], operands[1], operands[2]) if len(operands) == 3 else None


def _hard_sigmoid(node: gs.Node, operands: list[Array]) -> Array:
    return np.clip(operands[0] * float(attr(node, "alpha", 0.2)) + float(attr(node, "beta", 0.5)), 0.0, 1.0)


def _leaky(node: gs.Node, operands: list[Array]) -> Array:
    return np.where(operands[0] < 0, operands[0] * float(attr(node, "alpha", 0.01)), operands[0])


def _plain(function: Callable[..., Array], count: int = 1) -> Callable[[gs.Node, list[Array]], Array | None]:
    return lambda node, operands: function(*operands) if len(operands) == count else None


_FUNCTIONS: Mapping[str, Callable[[gs.Node, list[Array]], Array | None]] = MappingProxyType(
    {
        "Add": _plain(np.add, 2),
        "Sub": _plain(np.subtract, 2),
        "Mul": _plain(np.multiply, 2),
        "Div": _plain(np.divide, 2),
        "Max": _plain(np.maximum, 2),
        "Min": _plain(np.minimum, 2),
        "Pow": _plain(np.power, 2),
        "Relu": _plain(lambda x: np.maximum(x, 0.0)),
        "Sigmoid": _plain(lambda x: 0.5 * (1.0 + np.tanh(0.5 * x))),
        "Tanh": _plain(np.tanh),
        "Exp": _plain(np.exp),
        "Log": _plain(np.log),
        "Sqrt": _plain(np.sqrt),
        "Reciprocal": _plain(np.reciprocal),
        "Neg": _plain(np.negative),
        "Abs": _plain(np.abs),
        "Softplus": _plain(lambda x: np.logaddexp(x, 0.0)),
        "Clip": _clip,
        "HardSigmoid": _hard_sigmoid,
        "LeakyRelu": _leaky,
    }
)
