"""Element-wise arithmetic, comparisons, scale and shift, batch normalization."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import shape
from dlarewrite.target.facts import Layer, NodeView, PairFacts, PlainFacts, ScaleFacts, Shape

_OPERATION = {
    "Add": "SUM",
    "Sum": "SUM",
    "Mean": "SUM",
    "Sub": "SUB",
    "Mul": "PROD",
    "Div": "DIV",
    "Pow": "POW",
    "Max": "MAX",
    "Min": "MIN",
    "Equal": "EQUAL",
    "Greater": "GREATER",
    "Less": "LESS",
    "GreaterOrEqual": "GREATER",
    "LessOrEqual": "LESS",
}
_SCALES = frozenset({"Add", "Sub", "Mul", "Sum"})


def elementwise(view: NodeView) -> tuple[Layer, ...]:
    """A chain of ElementWise layers, one fewer than operands; a constant that scales or shifts becomes a Scale."""
    inputs = view.node.inputs
    if len(inputs) == 2:
        return (_pair(view, inputs[0], inputs[1]),)
    if len(inputs) < 2:
        return (Layer("Identity", PlainFacts(view, len(view.xs) if view.xs is not None else 4)),)
    layers = [_pair(view, inputs[0], other) for other in inputs[1:]]
    return tuple(layers)


def mean(view: NodeView) -> tuple[Layer, ...]:
    """Mean is a chain of sums and a product with a constant."""
    rank = len(view.ys) if view.ys is not None else 4
    return (*elementwise(view), Layer("Scale.MEAN", ScaleFacts(view, rank, "uniform", True)))


def comparison_or_equal(view: NodeView) -> tuple[Layer, ...]:
    """GreaterOrEqual and LessOrEqual are a comparison, an EQUAL and an OR of both."""
    first, second = view.node.inputs[0], view.node.inputs[1]
    return (_pair(view, first, second), _pair(view, first, second, "EQUAL"))


def _pair(view: NodeView, a: gs.Tensor, b: gs.Tensor, operation: str = "") -> Layer:
    op = operation or _OPERATION[view.op]
    kind = f"ElementWise.{op}"
    first, second = shape(a), shape(b)
    if first is None or second is None:
        return Layer(kind, None)
    rank = max(len(first), len(second))
    left = first if len(first) == rank else (1,) * (rank - len(first)) + first
    right = second if len(second) == rank else (1,) * (rank - len(second)) + second
    a_constant, b_constant = view.const.tensor(a), view.const.tensor(b)
    out = left if left == right else tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))
    if a_constant != b_constant and view.op in _SCALES and not (a_constant and op == "SUB"):
        data, constant = (right, left) if a_constant else (left, right)
        mode = scale_mode(constant, data) if data == out else ""
        if mode:
            return Layer("Scale", ScaleFacts(view, len(first) if b_constant else len(second), mode, True))
    return Layer(kind, PairFacts(view, op, (len(first), len(second)), left, right, out, a_constant, b_constant))


def scale_mode(constant: Shape, data: Shape) -> str:
    """The Scale mode of a constant of this (aligned) shape beside data: uniform, channel, elementwise, or ""."""
    if all(n == 1 for n in constant):
        return "uniform"
    if len(data) < 3 or any(n != 1 for n in constant[:-3]):
        return ""
    channels, rows, columns = constant[-3:]
    if channels == data[-3] and rows == columns == 1:
        return "channel"
    return "elementwise" if constant[-3:] == data[-3:] else ""


def batch_normalization(view: NodeView) -> tuple[Layer, ...]:
    """BatchNormalization with constant statistics is a Scale per channel."""
    constant = not view.attr("training_mode", 0) and all(view.const.tensor(t) for t in view.node.inputs[1:5])
    rank = len(view.xs) if view.xs is not None else 4
    return (Layer("Scale", ScaleFacts(view, rank, "channel", constant)),)
