"""A Where that chooses by the sign of x between x and a multiple of it becomes Relu, LeakyRelu or PRelu.

What it does: Where(x > 0, x, a x) -> LeakyRelu(x; a), PRelu(x, a) where a differs from place to place, Relu(x) where
    nothing but 0 is left of x; likewise with x >= 0, and with x < 0 or x <= 0 and the operands the other way round.
Law: the definitions of the operators; at 0 both sides are 0.
Numerics: EXACT - the same product.
Scales: the result keeps its scale.
Fires: on float tensors of any rank, on any target, where the slope is a constant that does not widen x.
Refuses: nothing: any other Where is not this pass's business.
Source: ONNX Where, Greater, GreaterOrEqual, Less, LessOrEqual, LeakyRelu, PRelu; NODLA, CMP-LIST.
Example: Where(Greater(x, 0), x, Mul(x, 0.1)) -> LeakyRelu(x; alpha = 0.1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Phase, Refusal, Tensor, view

UP, DOWN = ("Greater", "GreaterOrEqual"), ("Less", "LessOrEqual")
OLDEST = 9


@dataclass(frozen=True)
class Sides:
    """``x`` right of 0, and ``slope`` times x left of it."""

    x: Tensor
    slope: view.Array


@dataclass(frozen=True)
class WhereRelu(Pass[Sides]):
    """Where by the sign of x, of x and a multiple of it -> Relu, LeakyRelu, PRelu."""

    name: ClassVar[str] = "where-relu"
    numerics: ClassVar[Numerics] = Numerics.EXACT
    phase: ClassVar[Phase] = Phase.CLEAN
    anchors: ClassVar[tuple[str, ...]] = ("Where",)

    def match(self, node: Node, context: Context) -> Match[Sides] | Refusal | None:
        asked = view.producer(node.inputs[0])
        if asked is None or not view.is_op(asked, *UP, *DOWN) or context.opset < OLDEST:
            return None
        (x, zero), rises = asked.inputs, asked.op in UP
        if view.is_constant(x):
            x, zero, rises = zero, x, not rises
        right, left = node.inputs[1:] if rises else node.inputs[:0:-1]
        if right is not x or not view.is_float(x) or not _is(zero, 0.0):
            return None
        if view.shape(x) is None or view.shape(x) != view.shape(node.outputs[0]):
            return None
        slope = np.zeros((), dtype=view.dtype(x)) if _is(left, 0.0) else _slope(left, x)
        if slope is None:
            return None
        return Match((node,), Sides(x, slope), f"slope {slope.reshape(-1)[0]:g}" if slope.size == 1 else "PRelu")

    def apply(self, match: Match[Sides], edit: Editor) -> None:
        x, slope = match.facts.x, match.facts.slope
        if slope.size > 1:
            made = edit.op("PRelu", [x, edit.constant(slope, "slope")])
        elif slope.reshape(-1)[0] == 0:
            made = edit.op("Relu", [x])
        else:
            made = edit.op("LeakyRelu", [x], {"alpha": float(slope.reshape(-1)[0])})
        edit.replace_uses(match.nodes[0].outputs[0], made)


def _is(tensor: Tensor, number: float) -> bool:
    value = view.constant_value(tensor)
    return value is not None and value.size > 0 and bool((value == number).all())


def _slope(left: Tensor, x: Tensor) -> view.Array | None:
    """What x is multiplied by, if ``left`` is such a product; one number where all are equal, as alpha can hold it."""
    product = view.producer(left)
    if product is None or not view.is_op(product, "Mul") or view.shape(left) != view.shape(x):
        return None
    for one, other in (product.inputs, product.inputs[::-1]):
        value = view.constant_value(other) if one is x else None
        if value is None or value.size == 0:
            continue
        first = value.reshape(-1)[0]
        if (value == first).all() and float(np.float32(first)) == float(first):
            return value.reshape(-1)[:1]
        return value if value.size > 1 and np.isfinite(value).all() else None
    return None
