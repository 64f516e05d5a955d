"""Plans: what is kept and dropped and why, the file, what no longer fits, and the figures' arithmetic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlarewrite.compiler import Options, judge_model, load_frozen
from dlarewrite.errors import UsageError
from dlarewrite.partition.cost import CostModel, Device
from dlarewrite.partition.plan import Plan, load_plan
from dlarewrite.partition.planner import Instance, Wish, build_problem, verdict
from dlarewrite.partition.problem import HOST, Objective
from dlarewrite.planning import Machine, frontier, plan
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse

NET = """<ir_version: 9, opset_import: ["": 17]> g (float[1,8,32,32] x) => (float[1,8,32,32] y)
<float[8,8,3,3] w, float[8,8,3,3] v, float[8,1,1,1] k> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Conv<pads=[1,1,1,1]>(a, v) c = Erf(b) d = Conv<group=8>(c, k) y = Erf(d)
}"""

FUSED = """<ir_version: 9, opset_import: ["": 17]> g (float[1,64,28,28] x) => (float[1,64,28,28] y)
<float[64,64,3,3] w, float[64,64,3,3] v> {
    a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, v) d = Add(c, b) y = Relu(d)
}"""


def made(net: str = NET, **changes: Any) -> Plan:
    return plan(parse(net), **changes)


def instance(net: str, precision: Precision = Precision.INT8) -> Instance:
    model, target = load_frozen(parse(net), Options(precision=precision.value))
    return Instance.of(model, judge_model(model, target), target, CostModel.load(target))


def test_a_small_island_is_dropped_and_said() -> None:
    found = made()
    assert [r.nodes for r in found.regions] == [("a", "b")]
    assert found.dropped == ("d",)
    assert found.gpu["d"].startswith("island")
    assert found.gpu["c"].startswith("UNARY-NO: ")
    assert found.crossings == {"b": 8 * 32 * 32 * 2}


def test_every_island_is_kept_on_request_and_the_cap_holds() -> None:
    everything = Wish(min_region=0.0)
    assert [r.nodes for r in made(wish=everything).regions] == [("a", "b"), ("d",)]
    capped = made(wish=replace(everything, max_loadables=1))
    assert [r.nodes for r in capped.regions] == [("a", "b")]
    assert "cap" in capped.gpu["d"]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(made().dump())
    assert load_plan(path) == made()


@pytest.mark.parametrize("text", ["{", "version: 9", "version: 2\nregions: 3", "- a", "version: 2\ntarget: x", "\0"])
def test_a_bad_plan_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"plan .*plan\.yaml"):
        load_plan(path)


def test_a_convolution_keeps_its_sum_and_activation() -> None:
    problem = build_problem(instance(FUSED), Wish(Objective.LATENCY))
    assert sorted(problem.tied) == [(0, 1), (2, 3, 4)]


def test_each_tensor_is_handed_over_once_and_the_host_stands_at_both_ends() -> None:
    problem = build_problem(instance(FUSED), Wish(Objective.LATENCY))
    ends = {(h.maker, h.readers) for h in problem.handovers}
    assert ends == {(HOST, (0,)), (0, (1,)), (1, (2, 3)), (2, (3,)), (3, (4,)), (4, (HOST,))}
    assert all(h.nbytes == 64 * 28 * 28 for h in problem.handovers)


def test_illegal_layers_are_never_cheap() -> None:
    problem = build_problem(instance(NET), Wish(Objective.ENERGY))
    assert [math.isinf(cost) for cost in problem.dla] == [False, False, True, False, True]


def test_predictions_add_up() -> None:
    found = made(FUSED, precision="int8", wish=Wish(cores=(1,)))
    cost = CostModel.load(load_target("orin-jp6", Precision.INT8))
    region = found.regions[0]
    model = instance(FUSED)
    layers = sum(cost.layer(n, Device.DLA).seconds for n in model.graph.nodes) + cost.loadable().seconds
    assert region.core == 1
    assert region.milliseconds == pytest.approx(1e3 * layers, rel=1e-5)
    assert found.predicted is not None
    assert found.predicted.dla_ms == pytest.approx(region.milliseconds, rel=1e-5)
    hands = cost.crossing(64 * 28 * 28, Device.DLA) + cost.crossing(64 * 28 * 28, Device.GPU)
    assert found.predicted.crossing_ms == pytest.approx(1e3 * hands.seconds, rel=1e-5)
    assert found.gpu_only is not None
    assert found.gpu_only.dla_ms == found.gpu_only.crossing_ms == 0.0


def test_fp16_on_orin_is_said_to_belong_on_the_gpu() -> None:
    found = made(FUSED)
    assert found.verdict.startswith("Stay on the GPU")
    assert {a.option for a in found.alternatives} >= {"--objective latency", "--objective energy"}


def test_the_verdict_names_what_is_won() -> None:
    found = made(FUSED, precision="int8")
    assert found.predicted is not None
    assert found.gpu_only is not None
    cheap = replace(found.predicted, dla_ms=0.001, gpu_ms=0.0, crossing_ms=0.0, millijoules=0.001)
    assert verdict(cheap, found.gpu_only, 1).startswith("Worth it")
    assert verdict(cheap, found.gpu_only, 0).startswith("Stay on the GPU: no region")


def test_no_point_of_the_frontier_beats_another() -> None:
    points = frontier(parse(FUSED))
    assert points
    times = [p.estimate.latency_ms for p in points]
    energies = [p.estimate.millijoules for p in points]
    assert times == sorted(times)
    assert energies == sorted(energies, reverse=True)


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(UsageError, match="module"):
        made(machine=Machine("orin-x-99"))


def test_a_core_that_the_module_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="core 2 does not exist"):
        made(wish=Wish(cores=(0, 2)))


def test_two_cores_share_the_work_and_the_busier_bounds_the_pipeline() -> None:
    net = """<ir_version: 9, opset_import: ["": 17]> g (float[1,64,56,56] x) => (float[1,64,56,56] y)
    <float[64,64,3,3] w, float[64,64,3,3] v> {
        a = Conv<pads=[1,1,1,1]>(x, w) b = Erf(a) y = Conv<pads=[1,1,1,1]>(b, v)
    }"""
    found = made(net, precision="int8", wish=Wish(cores=(0, 1)))
    assert {r.core for r in found.regions} == {0, 1}
    assert found.predicted is not None
    busiest = max(r.milliseconds for r in found.regions)
    rest = found.predicted.gpu_ms + found.predicted.crossing_ms
    assert found.predicted.bottleneck_ms == pytest.approx(max(busiest, rest), rel=1e-5)


def test_stored_types_do_not_change_what_a_build_holds() -> None:
    """8 x 8 x 3 x 3 weights, twice: a byte each in INT8, two in FP16, however the file stores them."""
    half = NET.replace("float[", "float16[")
    for net in (NET, half):
        assert made(net).regions[0].weight_bytes == 2 * 2 * 576
        assert made(net, precision="int8").regions[0].weight_bytes == 2 * 576


def test_the_weight_of_energy_goes_from_latency_to_energy() -> None:
    ends = [made(FUSED, precision="int8", wish=Wish(energy_weight=w)) for w in (0.0, 1.0)]
    alone = [made(FUSED, precision="int8", wish=Wish(o)) for o in (Objective.LATENCY, Objective.ENERGY)]
    assert [e.predicted for e in ends] == [a.predicted for a in alone]


def test_a_reformat_is_no_region_of_a_profile(tmp_path: Path) -> None:
    region = "{ForeignNode[a...y]}"
    rows = [(f"Reformatting CopyNode for Input Tensor 0 to {region}", 0.05), (region, 3.0), ("stranger", 1.0)]
    path = tmp_path / "layers.json"
    path.write_text(json.dumps([{"count": 9}, *({"name": n, "averageMs": ms} for n, ms in rows)]))
    found = made(FUSED, precision="int8", machine=Machine(profile=path))
    assert found.predicted is not None
    assert found.predicted.dla_ms == pytest.approx(3.0)
    assert found.measured == 5
    assert found.notes == (
        "1 layer of the profile names no node of the model, and 1 ms are left out, most of it 'stranger'",
    )


def test_advice_fits_the_plan() -> None:
    assert any("INT8" in line for line in made(FUSED).advice)
    assert not made(FUSED, precision="int8").advice
    none = made(FUSED, wish=Wish(Objective.LATENCY))
    assert not none.regions
    assert none.advice == ("--objective offload moves what it can to the DLA all the same, to free the GPU.",)
