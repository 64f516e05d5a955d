"""FP16 and INT8 are judged differently, and only where the fact base says so."""

from __future__ import annotations

from collections.abc import Callable

import onnx_graphsurgeon as gs
import pytest
from target_samples import judge, rules_of

from dlarewrite.target import Precision, Scope, Verdict, rulebook
from dlarewrite.target.rule import FP16_ONLY, INT8_ONLY
from dlarewrite.target.samples import compare, concat, conv, pair, pool, slice_, softmax, unary, var

FP16, INT8 = Precision.FP16, Precision.INT8


@pytest.mark.parametrize("build", [slice_, softmax])
def test_layers_of_fp16_only_are_a_border_in_int8(build: Callable[[], gs.Node]) -> None:
    assert judge(build(), precision=FP16).verdict is Verdict.DLA
    assert judge(build(), precision=INT8).verdict is Verdict.UNCERTAIN


def test_a_channel_slice_has_a_cure_in_int8() -> None:
    assert judge(slice_(1), precision=INT8).findings[0].cure == "channel-select"
    assert judge(slice_(2, 0, 4), precision=INT8).findings[0].cure == ""


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "LRN"])
def test_layers_that_leave_int8_by_themselves_are_noted(op: str) -> None:
    attrs = {"size": 5} if op == "LRN" else {}
    assert judge(unary(op, **attrs), precision=FP16).findings == ()
    found = judge(unary(op, **attrs), precision=INT8)
    assert found.verdict is Verdict.DLA
    assert [f.effect for f in found.findings] == ["note"]


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (concat, "CAT-INT8"),
        (pool, "POOL-INT8-SCALE"),
        (lambda: pair("Add", var(name="a"), var(name="b")), "EW-INT8-RANGE"),
    ],
)
def test_equal_scales_are_noted_in_int8(build: Callable[[], gs.Node], rule: str) -> None:
    found = judge(build(), precision=INT8)
    assert found.verdict is Verdict.DLA
    assert rules_of(found) == {rule}
    assert judge(build(), precision=FP16).findings == ()


def test_comparisons_exist_in_int8_only() -> None:
    assert judge(compare("Equal"), precision=FP16).verdict is Verdict.GPU
    assert judge(compare("Equal"), precision=INT8).verdict is Verdict.UNCERTAIN


def test_the_convolution_buffer_holds_twice_as_much_in_int8() -> None:
    made = conv((3, 3), channels=256, width=160)
    assert "CONV-CBUF-WARN" not in rules_of(judge(made, precision=INT8))
    wide = conv((3, 3), channels=512, width=320)
    assert judge(wide, precision=FP16).verdict is Verdict.GPU
    assert "CONV-CBUF" not in rules_of(judge(wide, precision=INT8))


def test_grouped_convolutions_in_int8() -> None:
    made = conv(channels=12, maps=12, group=2)
    assert judge(made, precision=FP16).verdict is Verdict.DLA
    assert judge(made, precision=INT8).verdict is Verdict.UNCERTAIN
    depthwise = conv(channels=12, maps=12, group=12)
    assert judge(depthwise, precision=INT8).verdict is Verdict.DLA


def test_int8_on_a_strongly_typed_target_is_uncertain_throughout() -> None:
    for made in (conv(), unary("Relu"), pool()):
        assert judge(made, "agx-orin-jp7", FP16).verdict is Verdict.DLA
        assert judge(made, "agx-orin-jp7", INT8).verdict is Verdict.UNCERTAIN
    assert "Q-TYPED-INT8" not in rules_of(judge(unary("Elu"), "agx-orin-jp7", INT8))


def test_rules_of_one_precision_are_those_of_the_fact_base() -> None:
    only = {r.id for r in rulebook() if r.precisions == FP16_ONLY and r.scope is Scope.LAYER}
    assert only == {"EW-DIV-TYPES", "CMP-PREC"}
    layers = {r.id for r in rulebook() if r.precisions == INT8_ONLY and r.scope is Scope.LAYER}
    assert layers == {"CONV-GROUP-INT8", "SLICE-FP16", "SMAX-FP16"}
