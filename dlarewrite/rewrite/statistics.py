"""The mean, the variance and the deviation of a normalization that is written out, found from the root upwards."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_graphsurgeon as gs

from dlarewrite.ir.view import axis, constant_value, input_at, ints, is_constant, is_op, producer, rank
from dlarewrite.rewrite import atoms
from dlarewrite.rewrite.polynomial import DEVIATION, ROOT, Monomial

_MEANS = ("ReduceMean", "GlobalAveragePool")
UNARY = (*_MEANS, "Transpose", "Neg", "Reciprocal", "Sqrt", "Expand", "Pow", "Identity")
"""What reads one tensor beside constants that say how."""


@dataclass(frozen=True)
class Start:
    """``x``, and the nodes that make its mean, the squares about it, their mean, epsilon beside it and the root.

    ``axes``: of the mean and of the variance; ``power``: what the root is.
    """

    x: gs.Tensor
    mean: gs.Node
    square: gs.Node
    variance: gs.Node
    add: gs.Node
    root: gs.Node
    epsilon: float
    axes: tuple[tuple[int, ...], tuple[int, ...]]
    power: Monomial


def read(root: gs.Node) -> Start | None:
    """What ends in ``root``: a Sqrt, or a power of 1/2 or -1/2."""
    exponent = 0.5 if is_op(root, "Sqrt") else _scalar(input_at(root, 1)) if is_op(root, "Pow") else None
    add = _maker(root.inputs[0], "Add")
    if exponent not in (0.5, -0.5) or add is None:
        return None
    epsilons = [e for e in map(_scalar, add.inputs) if e is not None]
    rest = [t for t in add.inputs if not is_constant(t)]
    variance = _maker(rest[0], *_MEANS) if len(epsilons) == len(rest) == 1 else None
    square = None if variance is None else _maker(variance.inputs[0], "Mul", "Pow")
    if variance is None or square is None:
        return None
    twice = square.inputs[0] is square.inputs[1] if is_op(square, "Mul") else _scalar(square.inputs[1]) == 2
    centred = _maker(square.inputs[0], "Sub") if twice else None
    mean = None if centred is None else _maker(centred.inputs[1], *_MEANS)
    if centred is None or mean is None:
        return None
    x, axes = _source(centred.inputs[0]), (_summed(mean), _summed(variance))
    if x is not _source(mean.inputs[0]) or axes[0] is None or axes[1] is None or is_constant(x):
        return None
    power = DEVIATION if exponent > 0 else ROOT
    return Start(x, mean, square, variance, add, root, epsilons[0], (axes[0], axes[1]), power)


def _scalar(tensor: gs.Tensor | None) -> float | None:
    """The one value that a constant holds."""
    held = constant_value(tensor)
    return float(held.flat[0]) if held is not None and held.size and (held == held.flat[0]).all() else None


def _source(tensor: gs.Tensor) -> gs.Tensor:
    """The tensor before Reshapes and Transposes."""
    while (maker := producer(tensor)) is not None and is_op(maker, "Transpose", *atoms.RESHAPES):
        tensor = maker.inputs[0]
    return tensor


def _maker(tensor: gs.Tensor, *ops: str) -> gs.Node | None:
    """What makes the tensor, Reshapes and Transposes between, where it is one of these operators."""
    maker = producer(_source(tensor))
    return maker if maker is not None and is_op(maker, *ops) else None


def _summed(node: gs.Node) -> tuple[int, ...] | None:
    """The axes of a mean, where some are named."""
    size = rank(node.inputs[0]) or 0
    if is_op(node, "GlobalAveragePool"):
        return tuple(range(2, size))
    held = constant_value(input_at(node, 1))
    if held is None and input_at(node, 1) is not None:
        return None
    named = ints(node, "axes") if held is None else tuple(int(a) for a in held.reshape(-1))
    return tuple(sorted({axis(a, size) for a in named})) or None
