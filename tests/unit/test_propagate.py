"""Scales that NVIDIA's translator copies: each rule, the options, and what stays FP16."""

from __future__ import annotations

import math

import pytest

from dlarewrite.ir.model import Model
from dlarewrite.precision.propagate import Propagation, propagate
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.precision.unary import is_unary
from dlarewrite.testing import parse


def spread(body: str, how: Propagation | None = None, **known: float) -> ScaleTable:
    """The table for ``body``, of which ``known`` amax are given."""
    text = f"""<ir_version: 8, opset_import: ["" : 13]> g (float[1,4,8,8] x, float[1,4,8,8] b) => (float[N,C,H,W] y)
    <float[4,4,1,1] w, float[4] v> {{ {body} }}"""
    table = ScaleTable({name: Scale(amax, "given", Certainty.EXACT) for name, amax in known.items()})
    return propagate(table, Model.load(parse(text)), how)


def amax(table: ScaleTable) -> dict[str, float]:
    return {name: round(s.amax, 4) for name, s in table.scales.items()}


def test_values_that_are_moved_keep_their_scale_both_ways() -> None:
    body = "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) t = Transpose<perm=[0,2,3,1]>(p) y = Relu(t)"
    assert amax(spread(body, x=4.0)) == {"x": 4.0, "p": 4.0, "t": 4.0, "y": 4.0}
    assert amax(spread(body, y=4.0)) == {"x": 4.0, "p": 4.0, "t": 4.0, "y": 4.0}
    assert spread(body, x=4.0).scales["y"].certainty is Certainty.INHERITED


def test_what_a_relu_takes_away_may_be_needed_elsewhere() -> None:
    assert "x" not in spread("r = Relu(x) n = Neg(x) y = Add(r, n)", r=2.0).scales


def test_averages_concat_and_mul_only_on_request() -> None:
    average = "y = GlobalAveragePool(x)"
    assert amax(spread(average, x=4.0)) == {"x": 4.0}
    assert amax(spread(average, Propagation(average=True), x=4.0)) == {"x": 4.0, "y": 4.0}
    concat = "y = Concat<axis=1>(x, b)"
    assert "y" not in spread(concat, x=4.0, b=6.0).scales
    assert amax(spread(concat, Propagation(concat=True), x=4.0, b=6.0))["y"] == 6.0
    assert amax(spread(concat, Propagation(concat=True), y=6.0)) == {"x": 6.0, "b": 6.0, "y": 6.0}
    product = "y = Mul(x, b)"
    assert "b" not in spread(product, x=4.0, y=8.0).scales
    assert amax(spread(product, Propagation(mul=True), x=4.0, y=8.0))["b"] == 2.0
    assert amax(spread("y = Softplus(x)", Propagation(more=frozenset({"Softplus"})), x=4.0))["y"] == 4.0


def test_a_sigmoid_has_its_fixed_scale_and_its_inverse() -> None:
    table = spread("y = Sigmoid(x)")
    assert table.scales["y"].scale == pytest.approx(1 / 127)
    assert "x" not in table.scales
    assert spread("y = Sigmoid(x)", y=0.9).scales["x"].amax == pytest.approx(math.log(9), rel=1e-6)


def test_a_pad_beyond_the_range_hands_nothing_on() -> None:
    pad = "p = Constant<value = int64[8] {0,0,1,1,0,0,1,1}>() f = Constant<value = float {%s}>() y = Pad(x, p, f)"
    assert "y" in spread(pad % "1.0", x=4.0).scales
    assert "y" not in spread(pad % "9.0", x=4.0).scales


def test_layers_beside_a_tensor_without_a_scale_are_fp16() -> None:
    table = spread("c = Conv(x, w) a = Add(c, b) y = Relu(a)", x=1.0, b=1.0, y=2.0)
    assert table.layer_precisions == {"c": "fp16", "a": "fp16"}


def test_unary_scales_reach_through_a_batchnorm_and_only_beside_a_known_operand() -> None:
    body = "c = Conv(x, w) n = BatchNormalization(c, v, v, v, v) y = Add(n, b)"
    how = Propagation(unary=True)
    table = spread(body, how, x=1.0, b=1.0, y=2.0)
    assert [name for name, s in table.scales.items() if is_unary(s)] == ["c", "n"]
    assert not table.layer_precisions
    assert "c" not in spread(body, how, x=1.0, y=2.0).scales
    both = "c = Conv(x, w) d = Conv(b, w) y = Add(c, d)"
    assert not any(is_unary(s) for s in spread(both, how, x=1.0, b=1.0, y=2.0).scales.values())
