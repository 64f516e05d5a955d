"""What values a tensor can hold: bounds that hold for odd constants as well."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from dlarewrite.rewrite import ranges


def made(op: str, *inputs: gs.Tensor | float | None, **attrs: object) -> gs.Variable:
    tensors = [
        gs.Variable.empty() if t is None else t if isinstance(t, gs.Tensor) else gs.Constant("c", np.asarray(t, "f"))
        for t in inputs
    ]
    output = gs.Variable("y", np.dtype("f"), [1, 2, 3, 3])
    gs.Node(op, attrs=attrs, inputs=tensors, outputs=[output])
    return output


X = gs.Variable("x", np.dtype("f"), [1, 2, 3, 3])


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [
        (0.5, None, 0.5),
        (0.5, 6.0, 0.5),
        (1.0, -1.0, -1.0),
        (None, 6.0, -math.inf),
        (0.5, X, -math.inf),
        (math.nan, 6.0, -math.inf),
        (math.inf, None, -math.inf),
    ],
)
def test_clip(low: float | None, high: gs.Tensor | float | None, bound: float) -> None:
    clipped = made("Clip", X, low, high)
    assert ranges.least(clipped) == bound
    assert ranges.is_never_negative(clipped) == (bound >= 0)


def test_clip_by_attributes() -> None:
    assert ranges.least(made("Clip", X, min=0.5, max=6.0)) == 0.5
    assert ranges.least(made("Clip", X, min=0.5, max=0.25)) == 0.25
    assert ranges.least(made("Clip", X, max=6.0)) == -math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_constants_that_are_not_finite_bound_nothing(value: float) -> None:
    square = made("Mul", X, X)
    assert ranges.least(made("Add", square, value)) == -math.inf
    assert ranges.least(made("Max", square, value)) == 0.0


def test_sums_and_maxima() -> None:
    square = made("Mul", X, X)
    assert ranges.least(made("Add", square, 0.25)) == 0.25
    assert ranges.least(made("Max", X, 0.25)) == 0.25
    assert ranges.least(made("Add", X, 0.25)) == -math.inf
