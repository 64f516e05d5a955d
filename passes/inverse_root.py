"""Division by a root of what is never small becomes multiplications, with Newton's iteration.

What it does: Sqrt(s), or Pow(s, 0.5), with the Divs by it and the Reciprocals of it -> Mul by 1/sqrt(s), which takes
    two 1x1 Convs and three steps of y <- y (3/2 - s y^2); Pow(s, -0.5) -> that alone; what else reads the root -> s
    times that.
Law: a / sqrt(s) = a (1 / sqrt(s)) and sqrt(s) = s (1 / sqrt(s)). The polygon that starts the iteration misses by 9 % at
    most, and three steps leave 3e-8 of the value, for s from 2^-20 to 2^32, which FP16's numbers cannot exceed.
Numerics: ROUNDING - a quotient becomes a product, and the root errs below a float's own rounding.
Scales: none is inherited but by the last tensor; the iteration runs in FP16.
Fires: on 4-D floats of static shape in FP16, where s cannot be below 2^-20: the sum of a constant and what is never
    negative (squares, their means and sums, Relu ...), Max with a constant, Clip. Normalizations that are written out
    (means, squares, Sqrt, Div) become native operators with it.
Refuses: INT8, as the iteration does not survive 8 bits; an s that may be smaller, such as a variance without epsilon.
Source: ONNX Sqrt, Reciprocal, Pow, Div; UNARY-NO, EW-DIV, EW-POW.
Example: Div(x, Sqrt(Add(ReduceMean(Mul(x, x)), 1e-5))) -> Mul(x, y) with y from Conv, Relu, Conv, Mul, Add ...
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, Tensor, emit, ranges, root, view


@dataclass(frozen=True)
class Root:
    """The radicand and its least value; ``inverse`` where the power is -1/2 and not 1/2."""

    radicand: Tensor
    least: float
    inverse: bool


@dataclass(frozen=True)
class InverseRoot(Pass[Root]):
    """x / Sqrt(s) -> x times 1/sqrt(s) by Newton's iteration, s >= 2^-20."""

    name: ClassVar[str] = "inverse-root"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Sqrt", "Pow")

    def match(self, node: Node, context: Context) -> Match[Root] | Refusal | None:
        s, result, power = node.inputs[0], node.outputs[0], _power(node)
        dims = view.shape(s)
        if power not in (0.5, -0.5) or dims is None or len(dims) != 4 or 0 in dims or not view.is_float(s):
            return None
        readers = _quotients(result) if power > 0 else ()
        if any(view.rank(r.outputs[0]) != 4 for r in readers):
            return None
        least = ranges.least(s)
        if least < 0.0:
            return None
        if context.target.precision.value == "int8":
            return Refusal("the iteration for its root does not survive 8 bits", (node,))
        if least < root.SMALLEST:
            why = f"its operand may be as small as {least:g}, below 2^-20, the least whose reciprocal FP16 holds"
            return Refusal(why, (node, *readers))
        if least > root.LARGEST:
            return Refusal(f"its operand is {least:g} or more, beyond what FP16 holds", (node, *readers))
        return Match((node, *readers), Root(s, least, power < 0), f"s of {least:g} or more")

    def apply(self, match: Match[Root], edit: Editor) -> None:
        node, found = match.nodes[0], match.facts
        s, result = found.radicand, node.outputs[0]
        negative = edit.op("Mul", [s, emit.scalar(edit, -1.0, s, "minus_one")])
        part = root.emit_inverse_root(edit, negative, found.least)
        inverse = edit.op("Mul", [part, emit.scalar(edit, math.sqrt(2.0), s, "root_two")])
        if found.inverse:
            edit.replace_uses(result, inverse)
            return
        for reader in match.nodes[1:]:
            quotient = edit.op("Mul", [reader.inputs[0], inverse]) if view.is_op(reader, "Div") else inverse
            edit.replace_uses(reader.outputs[0], quotient)
        edit.sweep(match.nodes[1:])
        if result.outputs or edit.model.is_pinned(result):
            edit.replace_uses(result, edit.op("Mul", [s, inverse]))


def _power(node: Node) -> float | None:
    """The exponent, where there is one for all elements."""
    if not view.is_op(node, "Pow"):
        return 0.5
    held = view.constant_value(view.input_at(node, 1))
    return float(held.reshape(())) if held is not None and held.size == 1 else None


def _quotients(divisor: Tensor) -> tuple[Node, ...]:
    """The Reciprocals of a tensor, and the Divs of something else by it."""
    readers = view.consumers(divisor)
    divides = [view.is_op(r, "Div") and r.inputs[1] is divisor and r.inputs[0] is not divisor for r in readers]
    return tuple(r for r, d in zip(readers, divides, strict=True) if d or view.is_op(r, "Reciprocal"))
