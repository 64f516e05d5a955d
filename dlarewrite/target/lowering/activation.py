"""Activations: what is one layer in TensorRT, and what is more."""

from __future__ import annotations

from dlarewrite.ir.view import dtype, is_float, shape
from dlarewrite.target.constness import value
from dlarewrite.target.facts import ActivationFacts, Layer, NodeView, PairFacts, SlopeFacts

_INFINITY = float("inf")
_TYPES = {"Relu": "RELU", "Sigmoid": "SIGMOID", "Tanh": "TANH"}


def _rank(view: NodeView) -> int:
    return len(view.xs) if view.xs is not None else 4


def activation(view: NodeView) -> tuple[Layer, ...]:
    """Relu, Sigmoid and Tanh."""
    return (Layer(f"Activation.{_TYPES[view.op]}", ActivationFacts(view, _rank(view), 0.0, 0.0, 0.0)),)


def leaky_relu(view: NodeView) -> tuple[Layer, ...]:
    """LeakyRelu keeps its slope."""
    alpha = float(view.attr("alpha", 0.01))
    return (Layer("Activation.LEAKY_RELU", ActivationFacts(view, _rank(view), 0.0, 0.0, alpha)),)


def clip(view: NodeView) -> tuple[Layer, ...]:
    """Clip is an Activation where its bounds are float constants (a missing bound is infinite), else MAX and MIN."""
    if view.opset < 11:
        low, high = float(view.attr("min", -_INFINITY)), float(view.attr("max", _INFINITY))
    else:
        bounds = []
        for index, missing in ((1, -_INFINITY), (2, _INFINITY)):
            tensor = view.input(index)
            if tensor is None:
                bounds.append(missing)
                continue
            held = value(tensor)
            if held is None or not (is_float(view.x) or dtype(view.x) is None):
                return _as_elementwise(view)
            bounds.append(float(held.reshape(-1)[0]))
        low, high = bounds
    return (Layer("Activation.CLIP", ActivationFacts(view, _rank(view), low, high, 0.0)),)


def _as_elementwise(view: NodeView) -> tuple[Layer, ...]:
    if view.xs is None:
        return (Layer("ElementWise.MAX", None), Layer("ElementWise.MIN", None))
    rank, ones = len(view.xs), (1,) * len(view.xs)
    layers = []
    for op, index in (("MAX", 1), ("MIN", 2)):
        bound = view.input(index)
        if bound is not None:
            known = view.const.tensor(bound)
            layers.append(
                Layer(f"ElementWise.{op}", PairFacts(view, op, (rank, 0), view.xs, ones, view.xs, False, known))
            )
    return tuple(layers)


def hard_swish(view: NodeView) -> tuple[Layer, ...]:
    """HardSwish is a hard sigmoid and a product."""
    return (
        Layer("Activation.HARD_SIGMOID", None),
        Layer("ElementWise.PROD", _with_itself(view)),
    )


def mish(view: NodeView) -> tuple[Layer, ...]:
    """Mish is Softplus, Tanh and a product."""
    facts = ActivationFacts(view, _rank(view), 0.0, 0.0, 0.0)
    return (
        Layer("Activation.SOFTPLUS", None),
        Layer("Activation.TANH", facts),
        Layer("ElementWise.PROD", _with_itself(view)),
    )


def _with_itself(view: NodeView) -> PairFacts | None:
    if view.xs is None:
        return None
    rank = len(view.xs)
    return PairFacts(view, "PROD", (rank, rank), view.xs, view.xs, view.xs, False, False)


def prelu(view: NodeView) -> tuple[Layer, ...]:
    """PRelu is a ParametricReLU; slopes of lower rank pass a Shuffle that is folded where they are constant."""
    slopes = shape(view.input(1))
    if view.xs is None or slopes is None:
        return (Layer("ParametricReLU", None),)
    return (Layer("ParametricReLU", SlopeFacts(view, len(view.xs), view.xs, slopes, view.const.tensor(view.input(1)))),)
