"""Elu and its kin around t = tanh(r/2), r = relu(-x)/length, and when a form may count on Div or Pow.

e^-r - 1 = -2 t/(1 + t), in which no digits cancel. Where there is no Div, -1/(1 + t) comes from Newton's iteration: its
divisor lies between 1 and 2, so that two steps from a parabola leave an error below a float's own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.ir import view
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.rewrite.context import Context
from dlarewrite.rewrite.emit import polynomial, scalar
from dlarewrite.target import Precision

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


@dataclass(frozen=True)
class Softplus:
    """ln(1 + e^x), an operator or written out.

    ``nodes`` go from the last to the one that reads x; ``others`` says who else reads them, or "".
    """

    nodes: tuple[gs.Node, ...]
    others: str


def softplus_of(tanh: gs.Node, model: Model) -> Softplus | None:
    """The Softplus of which the node is the Tanh, as Mish is written before opset 18.

    None for any other Tanh.
    """
    nodes = _softplus(tanh.inputs[0])
    above = tanh
    for node in nodes:
        inner = node.outputs[0]
        others = [view.label(r) for r in view.consumers(inner) if r is not above]
        if others or model.is_pinned(inner):
            what = "the Softplus" if node is nodes[0] else "the Softplus's inner tensor"
            return Softplus(nodes, f"{', '.join(others) or 'the graph output'} reads {what} as well")
        above = node
    return Softplus(nodes, "") if nodes else None


def _softplus(made: gs.Tensor) -> tuple[gs.Node, ...]:
    """A Softplus, or a Log of the sum of 1 and an Exp of the same shape; () for anything else."""
    last = view.producer(made)
    if last is None or not view.is_op(last, "Softplus", "Log"):
        return ()
    if last.op == "Softplus":
        return (last,)
    total = view.producer(last.inputs[0])
    if total is None or not view.is_op(total, "Add"):
        return ()
    for power, one in (total.inputs, total.inputs[::-1]):
        value, node = view.constant_value(one), view.producer(power)
        if value is None or node is None or not view.is_op(node, "Exp") or not (value == 1).all():
            continue
        dims = view.shape(power)
        return (last, total, node) if dims is not None and dims == view.shape(made) else ()
    return ()


def emit_tanh(edit: Editor, x: gs.Tensor, form: Bend) -> gs.Variable:
    """t = tanh(relu(-x)/(2 length)), between 0 and 1."""
    half = edit.op("Mul", [x, scalar(edit, -0.5 / form.length, x, "half")])
    return edit.op("Tanh", [edit.op("Relu", [half])])


def emit_inverse(edit: Editor, t: gs.Tensor) -> gs.Variable:
    """-1/(1 + t) for t in [0, 1] without a Div, to 1.1e-8 of its value in exact arithmetic.

    (98 - 80 t + 32 t^2)/99 is 1/(1 + t) with the residual T3(2 t - 1)/99 (Chebyshev), 1/99 at most; each step
    z <- z (2 + (1 + t) z) of Newton's iteration squares the residual.
    """
    z = polynomial(edit, t, (-98 / 99, 80 / 99, -32 / 99))
    divisor = edit.op("Add", [t, scalar(edit, 1.0, t, "one")])
    for _ in range(2):
        step = edit.op("Add", [edit.op("Mul", [divisor, z]), scalar(edit, 2.0, t, "two")])
        z = edit.op("Mul", [z, step])
    return z


def emit_sum(edit: Editor, x: gs.Tensor, part: gs.Tensor, form: Bend, sign: float = 1.0) -> gs.Variable:
    """right relu(x) - 2 left part, where part is t/(1 + t), or its negative where ``sign`` is -1."""
    left = edit.op("Mul", [part, scalar(edit, -2.0 * sign * form.left, x, "left")])
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


def steps_refused(context: Context) -> str:
    """Why Newton's iteration is not taken: "" where its steps run in floating point."""
    if context.target.precision is Precision.FP16:
        return ""
    return "without a Div it takes Newton's iteration, whose steps do not survive 8 bits"
