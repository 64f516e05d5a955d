"""What a table covers: missing scales and what they drag along, FP16 layers, borders, equal scales, predicted time."""

from __future__ import annotations

import onnx
import pytest

from dlarewrite.ir.model import Model
from dlarewrite.planning import plan_model
from dlarewrite.precision.coverage import Coverage, cover
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,32,16,16] x) => (float[1,64,16,16] y)
<float[32,32,3,3] w, float[64,64,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) s = Sigmoid(a) m = Mul(a, s) c = Concat<axis=1>(m, a) y = Conv<pads=[1,1,1,1]>(c, v)
}"""
ALL = {"x": 1.0, "a": 4.0, "s": 1.0, "m": 2.0, "c": 4.0, "y": 9.0}


def covered(known: dict[str, float], precisions: dict[str, str] | None = None) -> Coverage:
    proto: onnx.ModelProto = parse(NET)
    model, target = Model.load(proto), load_target("orin-jp6", Precision.INT8)
    scales = {n: Scale(v, "given", Certainty.EXACT) for n, v in known.items()}
    return cover(ScaleTable(scales, precisions or {}), model, plan_model(model, target), target)


def test_everything_covered_runs_int8_but_for_what_the_dla_computes_in_fp16() -> None:
    found = covered(ALL)
    (region,) = found.regions
    assert (found.share, found.missing, found.tensors) == (1.0, (), 6)
    assert (region.precision, region.layers) == ("mixed", 5)
    assert region.fp16 == {"s": "computed in FP16 in INT8 builds too [Q-AUTOFP16]"}
    assert {b.tensor: b.bytes for b in region.borders} == dict.fromkeys("as", 32 * 16 * 16 * 2)
    assert region.seconds == region.covered_seconds < region.fp16_seconds


def test_one_missing_scale_takes_the_region_to_fp16() -> None:
    found = covered({n: v for n, v in ALL.items() if n != "c"})
    (region,) = found.regions
    assert (region.precision, region.missing) == ("fp16", ("c",))
    assert region.fp16["y"] == "no scale for c [Q-SCALE-MISSING]"
    assert region.fp16["a"] == "compiled with layers that lack the scale of c [Q-REGION]"
    assert found.share == pytest.approx(5 / 6)
    assert region.covered_seconds < region.seconds == region.fp16_seconds
    assert not region.borders


def test_a_layer_kept_in_fp16_makes_borders_and_costs_time() -> None:
    free, kept = covered(ALL).regions[0], covered(ALL, {"y": "fp16"}).regions[0]
    assert kept.fp16["y"] == "set to fp16"
    assert {b.tensor for b in kept.borders} == {"a", "s", "c"}
    assert kept.seconds > free.seconds


def test_equal_scales_cost_the_smaller_tensors_bits() -> None:
    (group,) = covered(ALL).equalised
    assert group.lost == pytest.approx({"s": 2.0, "m": 1.0}, rel=1e-6)
    assert (group.amax, group.worst) == pytest.approx((4.0, 2.0), rel=1e-6)
    assert (set(group.layers), set(group.rules)) == ({"m", "c"}, {"EW-INT8-RANGE", "CAT-INT8"})
    assert not covered({**ALL, "s": 4.0, "m": 4.0}).equalised


def test_the_whole_is_plain_data() -> None:
    found = covered(ALL).to_dict()
    assert found["share"] == 1.0
    assert found["regions"][0]["fp16"].keys() == {"s"}
    assert found["equalised"][0]["rules"] == ["EW-INT8-RANGE", "CAT-INT8"]
