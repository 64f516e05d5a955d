"""Elu and its kin around t = tanh(r/2), r = relu(-x)/length, and when a form may count on Div or Pow.

e^-r - 1 = -2 t/(1 + t), in which no digits cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.emit import scalar

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


@dataclass(frozen=True)
class Bend:
    """f(x) = right relu(x) + left (e^(-relu(-x)/length) - 1)."""

    left: float
    right: float = 1.0
    length: float = 1.0


def bend(node: gs.Node) -> Bend | None:
    """What an Elu, Selu or Celu computes; None for a Celu that does not bend left (alpha <= 0)."""
    alpha = float(view.attr(node, "alpha", _SELU_ALPHA if node.op == "Selu" else 1.0))
    if node.op == "Elu":
        return Bend(alpha)
    if node.op == "Celu":
        return Bend(alpha, length=alpha) if alpha > 0.0 else None
    gamma = float(view.attr(node, "gamma", _SELU_GAMMA))
    return Bend(alpha * gamma, gamma)


def emit_tanh(edit: Editor, x: gs.Tensor, form: Bend) -> gs.Variable:
    """t = tanh(relu(-x)/(2 length)), between 0 and 1."""
    half = edit.op("Mul", [x, scalar(edit, -0.5 / form.length, x, "half")])
    return edit.op("Tanh", [edit.op("Relu", [half])])


def emit_sum(edit: Editor, x: gs.Tensor, part: gs.Tensor, form: Bend) -> gs.Variable:
    """right relu(x) - 2 left part, where part is t/(1 + t)."""
    left = edit.op("Mul", [part, scalar(edit, -2.0 * form.left, x, "left")])
    right = edit.op("Relu", [x])
    if form.right != 1.0:
        right = edit.op("Mul", [right, scalar(edit, form.right, x, "right")])
    return edit.op("Add", [right, left])


def doubt(context: Context, op: str, inputs: Sequence[gs.Tensor]) -> str:
    """Why a form that needs ``op`` (Div or Pow) is not taken by itself: "" where the target has the layer for certain.

    A doubtful layer counts as one on the GPU, and a form of many layers around it would cross more than the one
    operator that it replaces.
    """
    if context.allows(op, inputs):
        return ""
    return f"its exact form needs a {op}, which {context.target.name} does not take for certain (option doubtful=true)"
