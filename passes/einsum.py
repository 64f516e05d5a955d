"""Einsum with a constant becomes a 1x1 convolution or a MatMul, one that only scales becomes a Mul.

What it does: an Einsum of an activation and a constant matrix that sums over one index is a 1x1 Conv where that index
    is the channel axis of [N, C, H, W], and a MatMul where it is the last axis. One of two activations of equal index
    lists that sums over nothing is a Mul.
Law: the definition of the operator.
Numerics: ROUNDING - the sums run in another order.
Scales: the result keeps its scale; weights get theirs per output channel.
Fires: on Einsum of two operands in these forms, indices in any letters, an explicit or implicit result.
Refuses: products of two activations that sum (attention), ellipses, repeated indices, more than one summed index.
Source: ONNX operator Einsum; MM-ACT, FC-CONST.
Example: Einsum("bchw,oc->bohw", x, w) -> Conv 1x1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlarewrite.api import Context, Editor, Match, Node, Numerics, Pass, Refusal, convolve, view


@dataclass(frozen=True)
class Form:
    """``kind`` is conv, matmul or mul.

    ``data`` the input index of the activation; ``turned``: the constant is [K, M].
    """

    kind: str
    data: int
    turned: bool


@dataclass(frozen=True)
class Einsum(Pass[Form]):
    """Einsum -> 1x1 Conv, MatMul or Mul."""

    name: ClassVar[str] = "einsum"
    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    anchors: ClassVar[tuple[str, ...]] = ("Einsum",)

    def match(self, node: Node, context: Context) -> Match[Form] | Refusal | None:
        equation = str(view.attr(node, "equation", "")).replace(" ", "")
        terms = _terms(equation)
        if terms is None or len(node.inputs) != 2:
            return Refusal(f"equation {equation!r} is not of two plain operands", (node,))
        left, right, result = terms
        if not any(view.is_constant(t) for t in node.inputs):
            if left == right == result:
                return Match((node,), Form("mul", 0, False), f"{equation} as a product")
            return Refusal(f"equation {equation!r} multiplies two activations", (node,))
        form = _form(left, right, result, 1 if view.is_constant(node.inputs[0]) else 0)
        if form is None:
            return Refusal(f"equation {equation!r} is no product of channels or of a last axis with a matrix", (node,))
        return Match((node,), form, f"{equation} as {'a 1x1 Conv' if form.kind == 'conv' else 'a MatMul'}")

    def apply(self, match: Match[Form], edit: Editor) -> None:
        node, form = match.nodes[0], match.facts
        if form.kind == "mul":
            edit.replace_uses(node.outputs[0], edit.op("Mul", list(node.inputs)))
            return
        x, matrix = node.inputs[form.data], np.asarray(view.constant_value(node.inputs[1 - form.data]))
        matrix = matrix if form.turned else matrix.T
        if form.kind == "conv":
            weights = np.ascontiguousarray(matrix.T)[:, :, None, None]
            made = convolve.convolve(edit, x, weights, None, hint=view.label(node))
        else:
            made = edit.op("MatMul", [x, edit.constant(np.ascontiguousarray(matrix), "matrix")])
        edit.replace_uses(node.outputs[0], made)


def _terms(equation: str) -> tuple[str, str, str] | None:
    """The index lists of both operands and the result; None for other forms."""
    sides, arrow, result = equation.partition("->")
    operands = sides.split(",")
    if len(operands) != 2 or "." in equation or any(len(set(term)) != len(term) for term in (*operands, result)):
        return None
    if not arrow:
        both = operands[0] + operands[1]
        result = "".join(sorted(letter for letter in set(both) if both.count(letter) == 1))
    return operands[0], operands[1], result


def _form(left: str, right: str, result: str, data: int) -> Form | None:
    """How an activation times a constant matrix reads."""
    activation, constant = (left, right) if data == 0 else (right, left)
    summed = [letter for letter in activation if letter not in result]
    if len(constant) != 2 or len(summed) != 1 or summed[0] not in constant:
        return None
    made = constant.replace(summed[0], "")
    turned = constant[0] == summed[0]
    if result != activation.replace(summed[0], made) or made in activation:
        return None
    if len(activation) == 4 and activation[1] == summed[0]:
        return Form("conv", data, turned)
    return Form("matmul", data, turned) if activation[-1] == summed[0] else None
