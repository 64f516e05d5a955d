"""Q/DQ models read as plain models: each claim is held against onnxruntime's own Q/DQ."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from dlarewrite.errors import ModelError
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.precision.propagate import Propagation
from dlarewrite.precision.qdq_in import Plain, Reading, import_qdq
from dlarewrite.precision.qdq_proof import compare_rounded, prove_plain, without_rounding
from dlarewrite.precision.scales import Certainty
from dlarewrite.testing import parse
from dlarewrite.verify import CannotRun

PAIRED = """<ir_version: 8, opset_import: ["" : {opset}]>
g (float[1,4,8,8] x) => (float[1,4,8,8] y)
<float s = {{0.02}}, int8 z = {{0}}, float t = {{0.05}}, float[4,4,3,3] w {more}> {{
  xq = QuantizeLinear(x, s, z)
  xd = DequantizeLinear(xq, s, z)
  {weights}
  c = Conv<pads=[1,1,1,1]>(xd, wd)
  r = Relu(c)
  rq = QuantizeLinear(r, t, z)
  y = DequantizeLinear(rq, t, z)
}}"""


def whole(model: onnx.ModelProto | str, **reading: object) -> tuple[Model, Plain]:
    """The original and the plain model, after both proofs of equality."""
    proto = parse(model) if isinstance(model, str) else model
    original = Model.load(proto)
    plain = import_qdq(original, Reading(**reading))  # type: ignore[arg-type]
    check_structure(plain.model)
    onnx.checker.check_model(plain.model.to_proto(), full_check=True)
    try:
        equal = prove_plain(original, plain)
    except CannotRun as error:
        # An older onnxruntime does not know the newest operators.
        pytest.skip(str(error))
    assert equal.ok, equal.reason
    return original, plain


def worst(original: Model, plain: Plain) -> float:
    proof = compare_rounded(original, plain)
    assert proof.ok, proof.reason
    return max(o.max_abs or 0.0 for o in proof.outputs)


def ops(plain: Plain) -> Counter[str]:
    return Counter(n.op for n in plain.model.nodes)


@pytest.mark.parametrize("opset", [10, 13, 17, 19, 21, 23])
def test_pairs_go_and_scales_stay(opset: int) -> None:
    weights = "wq = QuantizeLinear(w, t, z) wd = DequantizeLinear(wq, t, z)"
    original, plain = whole(PAIRED.format(opset=opset, more="", weights=weights))
    assert ops(plain) == {"Conv": 1, "Relu": 1}
    assert [n.outputs[0].name for n in plain.model.nodes] == ["c", "y"]
    assert {k: round(s.scale, 6) for k, s in plain.table.scales.items()} == {"x": 0.02, "c": 0.05, "y": 0.05}
    assert plain.table.scales["y"].certainty is Certainty.EXACT
    assert plain.table.scales["c"].certainty is Certainty.INHERITED
    assert not plain.table.layer_precisions
    assert worst(original, plain) == 0.0


def test_weights_per_channel_become_exactly_what_their_pair_makes() -> None:
    weights = "wq = QuantizeLinear<axis=0>(w, ws, wz) wd = DequantizeLinear<axis=0>(wq, ws, wz)"
    more = ", float[4] ws = {0.01, 0.02, 0.03, 0.5}, int8[4] wz = {0, 0, 0, 0}"
    _, plain = whole(PAIRED.format(opset=13, more=more, weights=weights))
    weight = next(n for n in plain.model.nodes if n.op == "Conv").inputs[1].values
    steps = weight / np.array([0.01, 0.02, 0.03, 0.5], np.float32).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    # No channel was scaled by its maximum, but that TensorRT would do.
    assert [(r.channels, r.of) for r in plain.requantised] == [(4, 4)]


def test_weights_scaled_by_their_maximum_stay_as_they_are_on_the_board() -> None:
    _, plain = whole(stored_weights(), weights="max")
    assert not plain.requantised


def stored_weights(largest: int = 127) -> onnx.ModelProto:
    """Weights as INT8 initializer and DequantizeLinear only; scale and zero point are Constant nodes."""
    text = PAIRED.format(
        opset=13,
        more=", int8[4,4,3,3] wq, int8[4] wz = {0,0,0,0}",
        weights="ws = Constant<value = float[4] {0.01, 0.02, 0.03, 0.04}>() wd = DequantizeLinear<axis=0>(wq, ws, wz)",
    )
    model = onnx.parser.parse_model(text)
    values = np.random.default_rng(0).integers(-largest + 1, largest, (4, 4, 3, 3), dtype=np.int8)
    values[:, 0, 0, 0] = largest
    keep = [v for v in model.graph.value_info if v.name not in ("wq", "w")]
    del model.graph.value_info[:]
    model.graph.value_info.extend(keep)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "wq"))
    return onnx.shape_inference.infer_shapes(model)


def test_weights_off_their_maximum_are_told_refused_or_ignored() -> None:
    proto = stored_weights(100)
    assert len(whole(proto)[1].requantised) == 1
    assert not whole(proto, weights="histogram")[1].requantised
    with pytest.raises(ModelError, match="4 of 4 output channels"):
        import_qdq(Model.load(proto), Reading(weights="max"))


GROUPED = """<ir_version: 8, opset_import: ["" : 13]>
g (float[1,4,8,8] x) => (float[1,4,8,8] c)
<float s = {0.02}, int8 z = {0}, float[3,3,4,1] w, int64[4] dims = {3, 3, 1, 4}> {
  xq = QuantizeLinear(x, s, z)
  xd = DequantizeLinear(xq, s, z)
  wq = QuantizeLinear(w, s, z)
  wd = DequantizeLinear(wq, s, z)
  wr = Reshape(wd, dims)
  wt = Transpose<perm=[3,2,0,1]>(wr)
  c = Conv<group=4, pads=[1,1,1,1]>(xd, wt)
}"""


def test_what_moves_a_weight_is_folded_with_it() -> None:
    original, plain = whole(GROUPED)
    assert ops(plain) == {"Conv": 1}
    assert worst(original, plain) == 0.0


MOVED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,8,8] x) => (float[1,4,16] y) <float s = {0.02}, uint8 z = {128}, int64[3] dims = {1, 4, 16}> {
  xq = QuantizeLinear(x, s, z)
  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(xq)
  q = Reshape(p, dims)
  y = DequantizeLinear(q, s, z)
}"""


def test_operators_that_move_integers_move_floats_then() -> None:
    original, plain = whole(MOVED)
    assert ops(plain) == {"MaxPool": 1, "Reshape": 1}
    # UINT8 around 128 is INT8 around 0.
    assert {s.zero_point for s in plain.table.scales.values()} == {0}
    assert set(plain.table.scales) == {"x", "p", "y"}
    assert worst(original, plain) == 0.0


FUSED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,8,8] x) => (float[1,4,8,8] y)
<float s = {0.02}, float t = {0.01}, uint8 z = {0}, int8 m = {10}, float[4,4,1,1] w> {
  c = Conv(x, w)
  cq = QuantizeLinear(c, s, z)
  cd = DequantizeLinear(cq, s, z)
  n = Neg(cd)
  nq = QuantizeLinear(n, t, m)
  y = DequantizeLinear(nq, t, m)
}"""


def test_a_relu_that_the_zero_point_stood_for_comes_back() -> None:
    original, plain = whole(FUSED, asymmetric="keep")
    assert ops(plain) == {"Conv": 1, "Relu": 1, "Neg": 1}
    assert worst(original, plain) == 0.0
    assert plain.table.scales["y"].zero_point == 10
    assert plain.relus == 1


def test_asymmetric_ranges_are_widened_or_refused() -> None:
    original, plain = whole(FUSED)
    scale = plain.table.scales["y"]
    assert scale.zero_point == 0
    assert scale.amax == pytest.approx(138 * 0.01, rel=1e-6)
    # Half a step of the wider grids, and a step of the finer one.
    assert 0 < worst(original, plain) < 0.03
    with pytest.raises(ModelError, match="zero point 0 \\(uint8\\)"):
        import_qdq(original, Reading(asymmetric="refuse"))


FED = """<ir_version: 8, opset_import: ["" : 13]>
g (uint8[1,4,8,8] x) => (float[1,4,8,8] c) <float s = {0.02}, uint8 z = {7}, float[4,4,1,1] w> {
  xd = DequantizeLinear(x, s, z)
  c = Conv(xd, w)
}"""


def test_integers_that_are_fed_stay_integers() -> None:
    _, plain = whole(FED, asymmetric="keep")
    assert ops(plain) == {"Cast": 1, "Sub": 1, "Mul": 1, "Conv": 1}
    assert len(plain.kept) == 1


def test_one_tensor_with_two_scales_is_a_contradiction_and_the_larger_is_kept() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,4] x) => (float[1,4] a, float[1,4] b) <float s = {0.02}, float t = {0.05}, int8 z = {0}> {
      q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  a = Relu(d)
      r = QuantizeLinear(x, t, z)  e = DequantizeLinear(r, t, z)  b = Neg(e)
    }"""
    _, plain = whole(text)
    assert plain.table.scales["x"].scale == pytest.approx(0.05)
    assert [c.tensor for c in plain.contradictions] == ["x"]
    assert not plain.mixed


def test_a_tensor_that_is_also_read_as_it_is_is_named() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,4] x) => (float[1,4] y) <float s = {0.02}, int8 z = {0}> {
      q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  a = Relu(d)  y = Add(a, x)
    }"""
    _, plain = whole(text)
    assert plain.mixed == (("x", ("y",)),)
    # Add reads a tensor with a scale and one that Relu hands it on to, and makes one without.
    assert plain.table.layer_precisions == {"y": "fp16"}


RESIDUAL = """<ir_version: 8, opset_import: ["" : 13]>
g (float[1,4,8,8] x) => (float[1,4,8,8] y) <float s = {0.02}, int8 z = {0}, float[4,4,1,1] w> {
  q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)
  c = Conv(d, w)
  a = Add(c, d)
  e = QuantizeLinear(a, s, z)  y = DequantizeLinear(e, s, z)
}"""


def test_unary_scales_stand_between_conv_and_add() -> None:
    _, plain = whole(RESIDUAL)
    assert plain.table.layer_precisions == {"c": "fp16", "y": "fp16"}
    original, plain = whole(RESIDUAL, propagation=Propagation(unary=True))
    assert plain.table.scales["c"].scale == 1.0
    assert not plain.table.layer_precisions
    assert worst(original, plain) == 0.0


SIMPLE = """<ir_version: 8, opset_import: ["" : 13]> g (float[1,4] x) => (float[1,4] y)
<float s = {0.02}, float t = {0.05}, int8 z = {0}> {
  m = ReduceMax<keepdims=0>(x)
  q = QuantizeLinear(x, s, z)
  v = Identity(q)
  d = DequantizeLinear(v, s, z)
  y = Relu(d)
}"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("float s = {0.02}", "float s = {-0.02}", "scale -0.02"),
        ("QuantizeLinear(x, s, z)", "QuantizeLinear(x, m, z)", "computed from the inputs"),
        ("(v, s, z)", "(v, t, z)", "another scale"),
        ("Identity(q)", "Sign(q)", "computes on the integers"),
        ("y = Relu(d)", "y = Relu(d) o = Identity(q)", "are an output of the graph"),
    ],
)
def test_what_the_dla_has_not_is_refused_by_name(old: str, new: str, why: str) -> None:
    model = onnx.parser.parse_model(SIMPLE.replace(old, new).replace("(float[1,4] y)", f"(float[1,4] y{_extra(new)})"))
    with pytest.raises(ModelError, match=why):
        import_qdq(Model.load(model))


def _extra(new: str) -> str:
    return ", int8[1,4] o" if "o = " in new else ""


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_scales_that_are_no_numbers_are_refused(value: float) -> None:
    model = onnx.parser.parse_model(SIMPLE)
    scale = next(t for t in model.graph.initializer if t.name == "s")
    scale.CopyFrom(onnx.numpy_helper.from_array(np.array(value, np.float32), "s"))
    with pytest.raises(ModelError, match="finite and above 0"):
        import_qdq(Model.load(model))


def test_activations_per_channel_blocks_and_integer_operators_are_refused() -> None:
    per_channel = """<ir_version: 8, opset_import: ["" : 13]> g (float[1,2,4] x) => (float[1,2,4] y)
    <float[2] s = {0.1, 0.2}, int8[2] z = {0, 0}>
    { q = QuantizeLinear<axis=1>(x, s, z) y = DequantizeLinear<axis=1>(q, s, z) }"""
    with pytest.raises(ModelError, match="per channel"):
        import_qdq(Model.load(parse(per_channel)))
    blocks = """<ir_version: 10, opset_import: ["" : 21]> g (float[2,4] x) => (float[2,4] y)
    <float[2,2] s = {0.1, 0.2, 0.1, 0.2}, int8[2,2] z = {0, 0, 0, 0}>
    { q = QuantizeLinear<axis=1, block_size=2>(x, s, z) y = DequantizeLinear<axis=1, block_size=2>(q, s, z) }"""
    with pytest.raises(ModelError, match="blocks"):
        import_qdq(Model.load(parse(blocks)))
    integer = """<ir_version: 8, opset_import: ["" : 13]> g (uint8[2,4] x, uint8[4,2] w) => (int32[2,2] y)
    { y = MatMulInteger(x, w) }"""
    with pytest.raises(ModelError, match="computes on integers"):
        import_qdq(Model.load(parse(integer)))
    plain = '<ir_version: 8, opset_import: ["" : 13]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
    with pytest.raises(ModelError, match="no QuantizeLinear"):
        import_qdq(Model.load(parse(plain)))


def test_the_proof_sees_a_wrong_weight_and_a_lost_relu() -> None:
    original, plain = whole(stored_weights())
    conv = next(n for n in plain.model.nodes if n.op == "Conv")
    conv.inputs[1].values = conv.inputs[1].values * np.float32(1.001)
    assert not prove_plain(original, plain).ok
    reference = without_rounding(parse(FUSED))
    assert [n.op_type for n in reference.graph.node][:3] == ["Conv", "Relu", "Identity"]
