"""Division by a constant becomes a product, an integer power a chain of products, a mean of tensors a sum.

What it does: Div(x, c) -> Mul(x, 1/c); Pow(x, n) with n = 1 to 8 -> products by repeated squaring; Mean(a, b, ...) ->
    Adds and Mul by 1/count.
Law: arithmetic; the reciprocal is rounded once.
Numerics: ROUNDING - one rounding more.
Scales: the last tensor takes the scale of the old output; x x has the square of that of x.
Fires: on float tensors of any rank with a constant divisor (any shape) or exponent (one element).
Refuses: a divisor with a zero or a value whose reciprocal the type does not hold; an exponent that is no integer from
    1 to 8.
Source: ONNX Div, Pow, Mean; EW-DIV, EW-POW, EW-LIST.
Example: Div(x, 6) -> Mul(x, 0.166667)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, view

_LARGEST = 8


@dataclass(frozen=True)
class DivPowByConst(Pass[view.Array]):
    """Div and Pow by constants -> Mul; Mean -> Add, Mul."""

    name: ClassVar[str] = "div-pow-by-const"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Div", "Pow", "Mean")

    def match(self, node: Node, context: Context) -> Match[view.Array] | Refusal | None:
        x = node.inputs[0]
        if not view.is_float(x) or view.is_constant(x):
            return None
        if node.op == "Mean":
            return Match((node,), np.asarray(1.0 / len(node.inputs)), f"{len(node.inputs)} tensors")
        value = view.constant_value(node.inputs[1])
        if value is None:
            return None
        if node.op == "Pow":
            power = float(value.reshape(-1)[0]) if value.size == 1 else 0.0
            if power not in range(1, _LARGEST + 1) or value.ndim > (view.rank(x) or 0):
                return Refusal(f"its exponent {power:g} is no integer from 1 to {_LARGEST}", (node,))
            return Match((node,), np.asarray(int(power)), f"power {power:g}")
        with np.errstate(divide="ignore", over="ignore"):
            factor = (1.0 / value.astype(np.float64)).astype(value.dtype)
        if not np.all(np.isfinite(factor)) or np.any(factor == 0.0):
            return Refusal("a divisor has no reciprocal in its type", (node,))
        return Match((node,), factor)

    def apply(self, match: Match[view.Array], edit: Editor) -> None:
        node, facts = match.nodes[0], match.facts
        result: Tensor = node.inputs[0]
        if node.op == "Div":
            result = edit.op("Mul", [result, edit.constant(facts, "reciprocal")])
        elif node.op == "Pow":
            result = _power(edit, result, int(facts))
        else:
            for other in node.inputs[1:]:
                result = edit.op("Add", [result, other])
            if len(node.inputs) > 1:
                result = edit.op("Mul", [result, emit.scalar(edit, float(facts), result, "share")])
        edit.replace_uses(node.outputs[0], result)


def _power(edit: Editor, x: Tensor, power: int) -> Tensor:
    if power == 1:
        return x
    half = _power(edit, x, power // 2)
    square = edit.op("Mul", [half, half])
    return edit.op("Mul", [square, x]) if power % 2 else square
