"""Scales carried through rewrites: what stays, what inherits, what is bounded, what contradicts, what is a gap."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest

from dlarewrite.compiler import Options, optimize
from dlarewrite.ir.model import Model
from dlarewrite.precision.carry import Carried, carry, complete
from dlarewrite.precision.fingerprint import fingerprint
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.precision.unary import UNARY, is_unary
from dlarewrite.testing import parse
from dlarewrite.verify.runner import Session

# models/ is no installed package; appended, so that an installed dlarewrite still wins over the source tree.
sys.path.append(str(Path(__file__).parents[2]))
BUILDERS = import_module("models").BUILDERS

HEAD = '<ir_version: 8, opset_import: ["": 17]> g (float[1,4,8,8] x) => (float[1,4,8,8] y)'


def table(**amax: float) -> ScaleTable:
    return ScaleTable({name: Scale(value, "given", Certainty.MEASURED) for name, value in amax.items()})


def carried(before: str, after: str, known: ScaleTable) -> Carried:
    return carry(known, Model.load(parse(f"{HEAD} {before}")), Model.load(parse(f"{HEAD} {after}")))


def amax(found: Carried, name: str) -> float:
    return found.table.scales[name].amax


def test_a_tensor_keeps_its_scale_and_the_table_knows_the_new_model() -> None:
    found = carried("{ a = Relu(x) y = Erf(a) }", "{ a = Relu(x) y = Erf(a) }", table(x=4, a=3, y=1))
    assert {n: s.source for n, s in found.table.scales.items()} == dict.fromkeys("xay", "given")
    assert found.table.model == fingerprint(Model.load(parse(f"{HEAD} {{ a = Relu(x) y = Erf(a) }}")))
    assert not found.gaps


def test_a_new_tensor_is_known_by_who_reads_it() -> None:
    found = carried(
        "<float[4,4,1,1] w> { a = HardSwish(x) y = Conv(a, w) }",
        "<float[4,4,1,1] w, float c = {3}, float l = {0}, float h = {6}, float k = {0.16666}> "
        "{ s = Add(x, c) t = Clip(s, l, h) u = Mul(t, k) v = Mul(x, u) y = Conv(v, w) }",
        table(x=4, a=3.5, y=9),
    )
    assert found.table.scales["v"].source == "given, as tensor a"
    assert amax(found, "t") == pytest.approx(6, rel=1e-6)
    assert amax(found, "u") == pytest.approx(1, rel=1e-3)
    assert not found.gaps


def test_a_layer_is_known_by_its_weights_after_folding_changed_none() -> None:
    before = "<float[4,4,1,1] w, float[4] b> { a = Conv(x, w, b) r = Erf(a) y = Erf(r) }"
    after = before.replace("a = Conv(x, w, b) r = Erf(a)", "q = Conv(x, w, b) e = Neg(q) n = Erf(e) r = Neg(n)")
    found = carried(before, after, table(x=1, a=7, r=1, y=1))
    assert found.table.scales["q"].source == "given, as tensor a"
    assert amax(found, "e") == amax(found, "q")


def test_other_weights_do_not_inherit_but_are_bounded() -> None:
    before = "<float[4,4,1,1] w> { a = Conv(x, w) b = Erf(a) y = Erf(b) }"
    after = "<float[4,4,1,1] v> { q = Conv(x, v) b = Erf(q) y = Erf(b) }"
    known = ScaleTable(
        {n: Scale(v, "given", Certainty.MEASURED) for n, v in (("x", 2.0), ("a", 7.0), ("b", 1.0), ("y", 1.0))}
    )
    model = Model.load(parse(f"{HEAD} {after}"))
    found = carry(known, Model.load(parse(f"{HEAD} {before}")), model)
    weights = next(np.asarray(t.values) for t in model.nodes[0].inputs if t.name == "v")
    # The reader is the same, but the layer is not: Erf's operand stands where a stood.
    assert found.table.scales["q"].source == "given, as tensor a"
    alone = complete(ScaleTable({"x": known.scales["x"]}), model)
    assert alone.table.scales["q"].certainty is Certainty.BOUND
    assert alone.table.scales["q"].amax == pytest.approx(2 * np.abs(weights).sum((1, 2, 3)).max(), rel=1e-5)


def test_selection_by_a_convolution_inherits() -> None:
    body = "<float[4,4,1,1] w> { a = Conv(x, w) y = Erf(a) }"
    proto = parse(f"{HEAD} {body}")
    one_hot = np.roll(np.eye(4, dtype=np.float32), 1, 0).reshape(4, 4, 1, 1)
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(one_hot, "w"))
    found = complete(table(x=3), Model.load(proto))
    assert found.table.scales["a"].certainty is Certainty.INHERITED
    assert amax(found, "a") == amax(found, "x")
    found = complete(table(a=3, y=1), Model.load(proto))
    assert amax(found, "x") == amax(found, "a")


@pytest.mark.parametrize(
    ("body", "known", "tensor", "expected", "certainty"),
    [
        ("{ a = Transpose<perm=[0,1,3,2]>(x) y = Erf(a) }", {"x": 3}, "a", 3, Certainty.INHERITED),
        ("{ a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x) y = Erf(a) }", {"x": 3}, "a", 3, Certainty.INHERITED),
        ("{ a = Add(x, x) y = Erf(a) }", {"x": 3}, "a", 6, Certainty.BOUND),
        ("{ a = Sigmoid(x) y = Mul(a, x) }", {"x": 3}, "a", 1, Certainty.FIXED),
        ("<float k = {0.5}> { a = Mul(x, k) y = Erf(a) }", {"x": 3}, "a", 1.5, Certainty.INHERITED),
        ("{ a = Concat<axis=1>(x, x) b = Split<axis=1>(a) y = Erf(b) }", {"x": 3}, "a", 3, Certainty.INHERITED),
        ("{ a = Erf(x) b = Neg(a) y = Relu(b) }", {"y": 0.5}, "a", 0.5, Certainty.INHERITED),
        ("<float k = {2}> { a = Sin(x) b = Mul(a, k) y = Erf(b) }", {"b": 0.5, "y": 1}, "a", 0.25, Certainty.INHERITED),
        ("{ s = Sigmoid(x) a = Mul(s, s) b = Mul(a, s) y = Mul(b, x) }", {"x": 8, "s": 1}, "b", 1, Certainty.BOUND),
    ],
)
def test_what_operators_hand_on(
    body: str, known: dict[str, float], tensor: str, expected: float, certainty: Certainty
) -> None:
    body = body.replace("b = Split<axis=1>(a)", "b, c = Split<axis=1>(a)")
    found = complete(table(**known), Model.load(parse(f"{HEAD} {body}")))
    assert amax(found, tensor) == pytest.approx(expected, rel=1e-3)
    assert found.table.scales[tensor].certainty is certainty


def test_a_function_of_one_tensor_is_evaluated_not_bounded() -> None:
    body = "{ e = Exp(x) f = Add(e, e) g = Add(f, e) q = Div(e, g) y = Mul(q, x) }"
    found = complete(table(x=4, y=1.4), Model.load(parse(f"{HEAD} {body}")))
    assert amax(found, "q") == pytest.approx(1 / 3, rel=1e-3)


def test_a_partial_sum_takes_the_scale_of_the_sum_where_its_bound_is_far() -> None:
    layers = "a = Conv<pads=[2,2,2,2]>(x, w) b = Conv<pads=[2,2,2,2]>(x, v)"
    body = f"<float[4,4,5,5] w, float[4,4,5,5] v> {{ {layers} y = Add(a, b) }}"
    found = complete(table(x=1, y=5), Model.load(parse(f"{HEAD} {body}")))
    assert amax(found, "a") == amax(found, "b") == amax(found, "y")


def test_what_no_rule_reaches_is_a_gap_with_its_reason() -> None:
    body = "{ a = Div(x, x) b = Relu(a) y = Erf(b) }"
    found = complete(table(x=1), Model.load(parse(f"{HEAD} {body}")))
    assert [(g.tensor, g.why) for g in found.gaps] == [
        ("a", "Div has no rule for this form"),
        ("b", "its input a has none"),
    ]
    found = complete(table(y=1), Model.load(parse(f"{HEAD} {{ a = Erf(x) y = Erf(a) }}")))
    assert [(g.tensor, g.node) for g in found.gaps] == [("x", "")]


def test_two_scales_of_moved_values_are_a_contradiction() -> None:
    body = "{ a = Transpose<perm=[0,1,3,2]>(x) y = Erf(a) }"
    found = complete(table(x=1, a=3, y=1), Model.load(parse(f"{HEAD} {body}")))
    assert [(c.tensor, c.why) for c in found.contradictions] == [
        ("a", "Transpose moves values; the larger clips nothing")
    ]


def test_what_the_rewriting_knows_is_taken() -> None:
    before, after = "{ a = Erf(x) y = Div(a, x) }", "{ q = Cos(x) p = Sin(q) y = Div(p, x) }"
    old, new = (Model.load(parse(f"{HEAD} {body}")) for body in (before, after))
    found = carry(table(x=1, a=0.25, y=1), old, new, heirs={"q": "a"})
    assert amax(found, "q") == pytest.approx(0.25)


def test_a_fixed_precision_goes_to_what_was_made_of_the_layer() -> None:
    result = optimize(BUILDERS["mobilenetv3"](), Options(precision="int8", verify="off"))
    before = Model.load(BUILDERS["mobilenetv3"]())
    layer = next(n for n in before.nodes if n.op == "HardSwish")
    known = ScaleTable({"x": Scale(1, "", Certainty.EXACT)}, {layer.name: "fp16"})
    precisions = carry(known, before, result.work).table.layer_precisions
    assert len(precisions) >= 3
    assert set(precisions.values()) == {"fp16"}


def ranges(model: Model, feeds: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    proto = model.to_proto()
    outputs = {o.name for o in proto.graph.output}
    for name in dict.fromkeys(t.name for n in model.nodes for t in n.outputs if t.name not in outputs):
        proto.graph.output.add().name = name
    values = {**Session(proto, base_dir=model.folder, threads=2).run(feeds), **feeds}
    return {n: (float(v.min()), float(v.max())) for n, v in values.items() if v.dtype.kind == "f" and v.size}


@pytest.mark.parametrize("name", ["mobilenetv3", "shufflenet", "unet", "yolo_focus_spp", "pointpillars", "resnet50"])
def test_carried_scales_hold_what_the_rewritten_network_computes(name: str) -> None:
    before = Model.load(onnx.shape_inference.infer_shapes(BUILDERS[name](), data_prop=True))
    result = optimize(BUILDERS[name](), Options(precision="int8", verify="off"))
    rng = np.random.default_rng(0)
    feeds = {t.name: rng.standard_normal(t.shape).astype(np.float32) for t in before.inputs}
    old, new = ranges(before, feeds), ranges(result.work, feeds)
    peak = {n: max(-low, high) for n, (low, high) in new.items()}
    known = {n: Scale(max(-a, b), "min-max", Certainty.MEASURED, a, b) for n, (a, b) in old.items() if a or b}
    found = carry(ScaleTable(known), before, result.work)
    assert result.modified
    assert not found.gaps
    assert not found.contradictions
    small = {n: s for n, s in found.table.scales.items() if s.amax < peak[n] * (1 - 1e-3)}
    # What a Clip takes away, and parts of sums, may saturate.
    assert not {
        n: s for n, s in small.items() if "back through Clip" not in s.source and "back through Add" not in s.source
    }


CONV = "<float[4,4,1,1] w>"


def test_what_stands_for_none_stays_so_and_hands_nothing_on() -> None:
    known = ScaleTable({**table(x=4, s=5, y=5).scales, "c": Scale(127, "calib.cache", Certainty.EXACT)})
    before = f"{CONV} {{ c = Conv(x, w) s = Add(c, x) y = Relu(s) }}"
    kept = carried(before, f"{CONV} {{ d = Identity(x) c = Conv(d, w) s = Add(c, d) y = Relu(s) }}", known)
    assert is_unary(kept.table.scales["c"])
    parted = carried(before, f"{CONV} {{ c = Conv(x, w) t = Sigmoid(c) s = Add(t, x) y = Relu(s) }}", known)
    assert not any(is_unary(s) or s.amax == 127 for s in parted.table.scales.values())


def test_a_table_of_its_own_model_keeps_what_stands_for_none() -> None:
    model = Model.load(parse(f"{HEAD} {CONV} {{ c = Conv(x, w) y = Add(c, x) }}"))
    found = complete(ScaleTable({**table(x=4, y=5).scales, "c": UNARY}), model)
    assert is_unary(found.table.scales["c"]) and not found.gaps
