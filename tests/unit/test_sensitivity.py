"""Sensitivity of single layers, and the proposal that is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.partition.cost import Device
from dlarewrite.precision.calibrate import Settings, calibrate
from dlarewrite.precision.data import Data, Sample
from dlarewrite.precision.emulate import Emulation, emulate
from dlarewrite.precision.proposal import predicted_seconds, propose
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.precision.sensitivity import Sensitivities, sensitivities
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

NET = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,16,12,12] x) => (float[1,16,12,12] y) <float[16,16,3,3] u, float[16,16,3,3] v, float[16,16,3,3] w> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, u)
  b = Relu(a)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(b, v)
  d = Relu(c)
  e = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(d, w)
  y = Relu(e)
}
"""
TARGET = load_target("orin-jp6", Precision.INT8)


def net() -> Model:
    return Model.load(parse(NET))


def data() -> Data:
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal((1, 16, 12, 12)).astype(np.float32) for _ in range(2)]
    return Data("arrays", "key", 2, lambda start: (Sample(str(i), {"x": a}) for i, a in enumerate(arrays[start:])))


def spoiled(table: ScaleTable, tensor: str) -> ScaleTable:
    worse = Scale(table.scales[tensor].amax * 30, "too large", Certainty.EXACT)
    return replace(table, scales={**table.scales, tensor: worse})


def measured(model: Model, table: ScaleTable, most: int | None = None) -> tuple[Emulation, Sensitivities]:
    whole = emulate(model, table, data())
    return whole, sensitivities(model, table, data(), whole, TARGET, most=most)


def test_single_errors_add_up_nearly_to_the_whole() -> None:
    model = net()
    whole, found = measured(model, calibrate(model, data(), Settings("minmax")).table)
    assert [s.group.name for s in found.layers] == ["a", "c", "e"]
    assert set(found.tensors) == {"x", "b", "d", "y"}
    total = sum(float(s.noise[0]) for s in found.layers) + sum(float(n[0]) for n in found.tensors.values())
    assert 10 * np.log10(1 / total) == pytest.approx(whole.snr, abs=1.5)


def test_the_layers_around_a_bad_scale_are_proposed_together_and_taking_them_out_mends_it() -> None:
    model = net()
    table = spoiled(calibrate(model, data(), Settings("minmax")).table, "b")
    whole, found = measured(model, table)
    seconds = predicted_seconds(whole.groups, TARGET)
    made = propose(found, whole.groups, seconds, max_slowdown=1000.0, want_snr=whole.snr + 10)
    assert [s.group.name for s in made.chosen] == ["a", "c"]
    assert made.layer_precisions == {"a": "fp16", "b": "fp16", "c": "fp16", "d": "fp16"}
    assert made.added == pytest.approx(sum(s.seconds for s in made.chosen)) and made.added > 0
    after = emulate(model, made.applied(table), data())
    assert after.snr > whole.snr + 10 and after.snr == pytest.approx(made.predicted, abs=2)


def test_the_bounds_hold() -> None:
    model = net()
    whole, found = measured(model, calibrate(model, data(), Settings("minmax")).table)
    seconds = predicted_seconds(whole.groups, TARGET)
    assert propose(found, whole.groups, seconds, max_slowdown=0.0).chosen == ()
    assert propose(found, whole.groups, seconds, want_snr=1.0).chosen == ()
    for share in (0.5, 5.0, 50.0):
        made = propose(found, whole.groups, seconds, max_slowdown=share, want_snr=200)
        assert made.added <= share * seconds
    everything = propose(found, whole.groups, seconds, max_slowdown=1e9, want_snr=200)
    assert {s.group.name for s in everything.chosen} == {"a", "c", "e"} and everything.predicted is None


def test_fp16_costs_time_on_the_dla_and_the_cheaper_device_is_named() -> None:
    model = net()
    _, found = measured(model, calibrate(model, data(), Settings("minmax")).table)
    assert all(s.fp16 > 0 and s.gpu > 0 for s in found.layers)
    assert all(s.device is (Device.DLA if s.fp16 <= s.gpu else Device.GPU) for s in found.layers)


def test_most_measures_the_worst_scales_only() -> None:
    model = net()
    _, found = measured(model, spoiled(calibrate(model, data(), Settings("minmax")).table, "d"), most=1)
    assert [s.group.name for s in found.layers] == ["c"] and set(found.tensors) == {"b", "d"}


def test_a_model_without_int8_is_refused() -> None:
    model = net()
    table = replace(calibrate(model, data()).table, layer_precisions=dict.fromkeys("ace", "fp16"))
    with pytest.raises(UsageError, match="no layer is in INT8"):
        measured(model, table)


def test_error_that_was_not_measured_keeps_the_choice_going_and_counts_in_the_prediction() -> None:
    model = net()
    whole, found = measured(model, calibrate(model, data(), Settings("minmax")).table)
    seconds = predicted_seconds(whole.groups, TARGET)
    alone = propose(found, whole.groups, seconds, max_slowdown=1e9, want_snr=1.0).predicted
    assert alone is not None
    wanted = alone - 3
    assert propose(found, whole.groups, seconds, max_slowdown=1e9, want_snr=wanted).chosen == ()
    made = propose(found, whole.groups, seconds, max_slowdown=1e9, want_snr=wanted, snr=alone - 6)
    assert made.chosen and made.predicted is not None and alone - 6 < made.predicted < wanted
