"""FP16 models and Q/DQ models made of plain ones, run in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dlarewrite.errors import UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.ir.view import dtype
from dlarewrite.precision.layer_precisions import parse as parse_layers
from dlarewrite.precision.layer_precisions import render
from dlarewrite.precision.propagate import Propagation, propagate
from dlarewrite.precision.qdq_in import import_qdq
from dlarewrite.precision.qdq_out import to_qdq
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.precision.typed_out import Typed, to_half
from dlarewrite.testing import parse
from dlarewrite.verify import Numerics, prove
from dlarewrite.verify.runner import Session

NET = """<ir_version: 8, opset_import: ["" : {opset}]>
g (float[1,4,8,8] x) => (float[1,4,16,16] y, float[1,4,8,8] r) <float[4,4,3,3] w, float[4] v> {{
  c = Conv<pads=[1,1,1,1]>(x, w, v)
  r = Relu(c)
  f = Constant<value = float[4] {{1,1,2,2}}>()
  z = Resize<mode="nearest">(r, , f)
  k = Constant<value = float {{0.5}}>()
  y = Mul(z, k)
}}"""


def half(text: str, table: ScaleTable | None = None, *, keep_io: bool = True) -> tuple[onnx.ModelProto, Typed]:
    before = parse(text)
    found = to_half(Model.load(before), table, keep_io=keep_io)
    check_structure(found.model)
    onnx.checker.check_model(found.model.to_proto(), full_check=True)
    return before, found


def error(before: onnx.ModelProto, after: Model) -> float:
    proof = prove(before, after.to_proto(), numerics=Numerics.LOSSY, seeds=(0,))
    assert proof.ok, proof.reason
    return max(o.max_rel_of_max or 0.0 for o in proof.outputs)


def kinds(model: Model, op: str) -> set[str]:
    return {str(dtype(t)) for n in model.nodes if n.op == op for t in (n.inputs[0], n.outputs[0])}


def test_casts_stand_at_the_border_alone() -> None:
    before, found = half(NET.format(opset=13))
    assert found.casts == sum(n.op == "Cast" for n in found.model.nodes) == 3
    assert not found.single
    assert [str(dtype(t)) for t in (*found.model.inputs, *found.model.outputs)] == ["float32"] * 3
    assert [t.name for t in found.model.outputs] == ["y", "r"]
    for op in ("Conv", "Relu", "Resize", "Mul"):
        assert kinds(found.model, op) == {"float16"}
    resize = next(n for n in found.model.nodes if n.op == "Resize")
    assert str(dtype(resize.inputs[2])) == "float32"
    assert 0 < error(before, found.model) < 2e-3


def test_the_border_may_be_fp16_too() -> None:
    _, found = half(NET.format(opset=13), keep_io=False)
    assert not found.casts
    assert {str(dtype(t)) for t in (*found.model.inputs, *found.model.outputs)} == {"float16"}


def test_layers_that_cannot_be_fp16_stay_and_are_named() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]> g (float[1,4] x) => (float[1,4] y)
    <float b = {1e6}, float e = {1e-12}> { a = Relu(x) m = Mul(a, b) n = Add(m, e) t = Neg(n) y = Neg(t) }"""
    table = ScaleTable({"a": Scale(1e5, "given", Certainty.EXACT)}, {"t": "fp32"})
    _, found = half(text, table)
    assert found.single.keys() == {"m", "n", "t"}
    assert "1e+06" in found.single["m"]
    assert "0 in FP16" in found.single["n"]
    assert found.overflow == {"a": pytest.approx(1e5)}
    assert kinds(found.model, "Mul") == {"float32"}
    # m, n and t hand FP32 to each other: one Cast in, one out, and those of the border.
    assert found.casts == 4


def test_casts_and_shapes_of_the_model_follow() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]> g (int64[2,3] i, float[2,3] x) => (float[2,3] y) {
      f = Cast<to=1>(i) s = Shape(x) o = ConstantOfShape<value = float[1] {2.0}>(s) p = Mul(f, o) y = Add(p, x) }"""
    before, found = half(text)
    assert kinds(found.model, "Mul") == {"float16"}
    assert error(before, found.model) < 2e-3


def table_of(**amax: float) -> ScaleTable:
    return ScaleTable({name: Scale(a, "given", Certainty.MEASURED) for name, a in amax.items()})


PLAIN = """<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,4,8,8] x) => (float[1,4,8,8] y)
<float[4,4,3,3] w, float[4,2,1,1] u> {{
  c = Conv<pads=[1,1,1,1]>(x, w)
  r = Relu(c)
  y = ConvTranspose<group=2>(r, u)
}}"""
AMAX = {"x": 12.0, "c": 150.0, "r": 150.0, "y": 500.0}


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_pairs_that_are_put_in_come_out_again(kind: str) -> None:
    before = parse(PLAIN.format(opset=13))
    table = table_of(**AMAX)
    made = to_qdq(Model.load(before), table, kind=kind)
    check_structure(made.model)
    onnx.checker.check_model(made.model.to_proto(), full_check=True)
    assert (made.activations, made.weights, made.skipped) == (4, 2, {})
    assert [t.name for t in made.model.outputs] == ["y"]
    assert 0 < error(before, made.model) < 0.15
    again = import_qdq(made.model)
    # Groups of a ConvTranspose share scales, for want of a second axis.
    assert [r.node for r in again.requantised] == ["y"]
    assert sorted(s.bits for s in again.table.scales.values()) == sorted(s.bits for s in table.scales.values())
    assert {s.zero_point for s in again.table.scales.values()} == {0}


def test_int8_grids_are_those_of_the_table() -> None:
    before = parse(PLAIN.format(opset=13))
    made = to_qdq(Model.load(before), table_of(**AMAX), weights=False)
    values = np.linspace(-9, 9, 256, dtype=np.float32).reshape(1, 4, 8, 8)
    step = np.float32(4.0) / np.float32(127)
    rounded = np.clip(np.rint(values / step), -128, 127) * step
    only_x = to_qdq(Model.load(before), table_of(x=4.0), weights=False)
    found = Session(only_x.model.to_proto()).run({"x": values})["y"]
    wanted = Session(before).run({"x": rounded.astype(np.float32)})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert made.weights == 0


def test_uint8_uses_the_range_that_was_seen() -> None:
    seen = ScaleTable({"r": Scale(12.0, "given", Certainty.MEASURED, 0.0, 12.0)})
    made = to_qdq(Model.load(parse(PLAIN.format(opset=13))), seen, kind="uint8", weights=False)
    pair = next(n for n in made.model.nodes if n.op == "QuantizeLinear")
    assert float(pair.inputs[1].values) == pytest.approx(12 / 255)
    assert int(pair.inputs[2].values) == 0


def test_fp16_layers_and_unary_scales_get_no_pair() -> None:
    model = Model.load(parse(PLAIN.format(opset=13)))
    table = ScaleTable(table_of(**AMAX).scales, {"c": "fp16", "r": "fp16"})
    # Between x and r nothing runs INT8.
    assert to_qdq(model, table).skipped.keys() == {"x", "c"}
    residual = """<ir_version: 8, opset_import: ["" : 13]> g (float[1,4,8,8] x) => (float[1,4,8,8] y)
    <float[4,4,1,1] w> { c = Conv(x, w) y = Add(c, x) }"""
    model = Model.load(parse(residual))
    spread = propagate(table_of(x=4.0, y=8.0), model, Propagation(unary=True))
    assert to_qdq(model, spread).skipped.keys() == {"c"}


def test_operator_sets_that_lack_q_dq_are_refused_and_fp16_needs_19() -> None:
    with pytest.raises(UsageError, match="operator set 11"):
        to_qdq(Model.load(parse(PLAIN.format(opset=11))), table_of(**AMAX))
    assert to_qdq(Model.load(parse(PLAIN.format(opset=11))), table_of(**AMAX), weights=False).activations == 4
    for opset, pairs in ((17, 0), (19, 2)):
        typed = to_half(Model.load(parse(PLAIN.format(opset=opset)))).model
        made = to_qdq(typed, table_of(c=12.0, r=12.0))
        assert made.activations == pairs
        onnx.checker.check_model(made.model.to_proto(), full_check=True)


def test_layer_precisions_as_text() -> None:
    text, unsaid = render({"/a/Conv": "fp16", "b:0": "int8", "c,d": "fp16"})
    assert text == "/a/Conv:fp16,b:0:int8"
    assert unsaid == ("c,d",)
    assert parse_layers(text + "\n") == {"/a/Conv": "fp16", "b:0": "int8"}
    with pytest.raises(UsageError, match="'x:int4' is not"):
        parse_layers("x:int4")
