"""2:4 sparsity: the mask, and the report of what could use it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlarewrite.compiler import judge_model
from dlarewrite.ir.model import Model
from dlarewrite.precision.sparsity import sparsity_report
from dlarewrite.rewrite.sparsity import energy_lost, is_2_4, mask_2_4, prune_2_4
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

WEIGHTS = st.tuples(*[st.integers(1, n) for n in (3, 11, 2, 2)]).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-3, 3).map(float))
)


@given(WEIGHTS)
def test_the_two_largest_of_four_stay(weights: np.ndarray) -> None:
    mask = mask_2_4(weights)
    assert mask.shape == weights.shape
    for first in range(0, weights.shape[1], 4):
        group, kept = np.abs(weights[:, first : first + 4]), mask[:, first : first + 4]
        assert (kept.sum(axis=1) == min(2, group.shape[1])).all()
        least = np.where(kept, group, np.inf).min(axis=1)
        assert (np.where(kept, 0, group).max(axis=1) <= least).all()
    pruned = prune_2_4(weights)
    assert is_2_4(pruned) and (prune_2_4(pruned) == pruned).all()
    assert (pruned[mask] == weights[mask]).all() and pruned.dtype == weights.dtype
    lost = float(np.square(weights - pruned).sum() / max(np.square(weights).sum(), 1))
    assert energy_lost(weights) == pytest.approx(lost) and 0 <= lost <= 0.5


def test_ties_keep_the_earlier_channel_and_other_axes_work() -> None:
    ones = np.ones((1, 6, 1, 1), np.float32)
    assert mask_2_4(ones).ravel().tolist() == [True, True, False, False, True, True]
    assert (mask_2_4(ones.transpose(1, 0, 2, 3), axis=0).ravel() == mask_2_4(ones).ravel()).all()
    assert not is_2_4(ones) and is_2_4(np.zeros((1, 8, 1, 1)))


NET = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,64,8,8] x) => (float[1,128,8,8] y)
<float[128,64,1,1] narrow, float[128,128,3,3] wide, float[128,2,3,3] grouped, float[128,128,1,1] pruned> {
  a = Conv(x, narrow)
  b = Conv<pads=[1,1,1,1]>(a, wide)
  c = Conv<pads=[1,1,1,1], group=64>(b, grouped)
  y = Conv(c, pruned)
}
"""


def net() -> Model:
    proto = parse(NET)
    for tensor in proto.graph.initializer:
        if tensor.name == "pruned":
            pruned = prune_2_4(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(pruned, "pruned"))
    return Model.load(proto)


def test_the_report_says_which_rule_keeps_a_convolution_dense() -> None:
    model, target = net(), load_target("orin-jp6", Precision.INT8)
    found = sparsity_report(model, target, judge_model(model, target))
    narrow, wide, grouped, pruned = found.convs
    assert narrow.reasons == ("SP-C64: 64 input channels, more than 64 are needed",)
    assert wide.eligible and not wide.sparse and 0 < (wide.energy_lost or 0) < 0.5 and not wide.notes
    assert "SP-MEM: 64 groups" in grouped.reasons and any("SP-C64" in r for r in grouped.reasons)
    assert pruned.eligible and pruned.sparse and pruned.energy_lost == 0
    assert found.macs == 64 * 128 * (64 + 128 * 9 + 2 * 9 + 128)
    assert found.share() == pytest.approx(64 * 128 * (128 * 9 + 128) / found.macs)
    assert found.share(sparse_only=True) == pytest.approx(64 * 128 * 128 / found.macs)
    low, high = found.gain()
    assert 1 < low < high < 1.47 and found.gain(sparse_only=True)[1] < low


def test_xavier_fp16_and_layers_kept_out_of_int8_are_dense() -> None:
    model = net()
    for name, precision, asked, reason in (
        ("xavier-jp5", Precision.INT8, {}, "SP-HW"),
        ("orin-jp6", Precision.FP16, {}, "SP-MEM: not in INT8"),
        ("orin-jp6", Precision.INT8, {"b": "fp16"}, "SP-MEM: not in INT8"),
    ):
        target = load_target(name, precision)
        wide = sparsity_report(model, target, judge_model(model, target), asked).convs[1]
        assert not wide.eligible and any(r.startswith(reason) for r in wide.reasons)


def test_a_large_convolution_is_noted_but_not_refused() -> None:
    text = NET.replace("float[128,128,3,3] wide", "float[256,128,3,3] wide").replace("[128,2,3,3]", "[128,4,3,3]")
    model, target = Model.load(parse(text)), load_target("orin-jp6", Precision.INT8)
    wide = sparsity_report(model, target, judge_model(model, target)).convs[1]
    assert wide.eligible and wide.notes == ("SP-MEM: 294,912 weights, an older guide allows 262,144",)
