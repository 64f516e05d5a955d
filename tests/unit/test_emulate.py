"""Emulation: the rounding itself, what is rounded where, and whether a bad scale stands out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper

from dlarewrite.compiler import judge_model
from dlarewrite.errors import ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.precision.calibrate import Settings, calibrate
from dlarewrite.precision.data import Data, Sample
from dlarewrite.precision.emulate import emulate, tied
from dlarewrite.precision.fake import fake_quantised
from dlarewrite.precision.layers import Arithmetic, groups
from dlarewrite.precision.quantiser import Emitter, quantised, quantised_weights
from dlarewrite.precision.scales import Certainty, Scale, ScaleTable
from dlarewrite.precision.unary import UNARY
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import parse
from dlarewrite.verify.runner import run

NET = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,6,6] x) => (float[1,8,6,6] y) <float[8,8,3,3] w, float[8] b, float[8] s, float[8] t, float[8] v> {
  a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w, b)
  n = BatchNormalization(a, s, b, t, vv)
  r = Relu(n)
  g1 = Sigmoid(r)
  m = Mul(r, g1)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(m, w)
  d = Add(c, r)
  y = Relu(d)
}
"""


def net() -> Model:
    proto = parse(NET.replace("float[8] v>", "float[8] vv>"))
    for tensor in proto.graph.initializer:
        if tensor.name == "vv":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(8, np.float32), "vv"))
    return Model.load(proto)


def data(count: int = 3, name: str = "x", shape: tuple[int, ...] = (1, 8, 6, 6)) -> Data:
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
    return Data("arrays", "key", count, lambda start: (Sample(str(i), {name: a}) for i, a in enumerate(arrays[start:])))


def table(model: Model, method: str = "minmax") -> ScaleTable:
    return calibrate(model, data(), Settings(method)).table


def exact(values: np.ndarray, scale: float) -> np.ndarray:
    """Half away from zero in double precision."""
    quotient = values.astype(np.float64) / np.float64(np.float32(scale))
    levels = np.sign(quotient) * np.minimum(np.floor(np.abs(quotient) + 0.5), 127)
    return (levels * np.float64(np.float32(scale))).astype(np.float32)


HARD = np.array(
    [0.0, 0.5, -0.5, 1.5, -1.5, 2.5, 126.5, 127.4, 127.6, -300.0, 0.49999997, -0.49999997, 1.4999999, 1e-30, 1e30],
    dtype=np.float32,
)


@pytest.mark.parametrize("scale", [1.0, 0.25, 2.0**-14])
def test_ties_go_away_from_zero_and_the_range_is_symmetric(scale: float) -> None:
    values = HARD * np.float32(scale)
    assert (quantised(values, scale) == exact(values, scale)).all()
    assert quantised(np.float32([-128.0]), 1.0) == -127 and (quantised(values, 0.0) == 0).all()


@pytest.mark.parametrize("opset", [7, 9, 11, 17])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("scale", [1.0, 0.0371])
def test_the_nodes_compute_what_numpy_does(opset: int, kind: int, scale: float) -> None:
    value = [helper.make_tensor_value_info(name, kind, ["N"]) for name in "xy"]
    proto = helper.make_model(
        helper.make_graph([], "g", value[:1], value[1:]), opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )
    emit = Emitter(proto, opset)
    proto.graph.node.extend(emit.rounded("x", "y", scale, kind))
    proto.graph.initializer.extend(emit.constants)
    drawn = np.random.default_rng(0).standard_normal(4000) * 60 * scale
    values = np.concatenate([HARD[:-1] * scale, drawn]).astype(helper.tensor_dtype_to_np_dtype(kind))
    expected = quantised(values.astype(np.float32), scale).astype(values.dtype)
    assert (run(proto, {"x": values})["y"] == expected).all()


@pytest.mark.parametrize(
    ("op", "shape", "attrs", "channels"),
    [
        ("Conv", (6, 4, 3, 3), {}, lambda w: w.reshape(6, -1)),
        (
            "ConvTranspose",
            (4, 3, 2, 2),
            {"group": 2},
            lambda w: w.reshape(2, 2, 3, 4).swapaxes(1, 2).reshape(6, -1),
        ),
        ("Gemm", (5, 7), {"transB": 1}, lambda w: w),
        ("Gemm", (5, 7), {}, lambda w: w.T),
        ("MatMul", (2, 5, 7), {}, lambda w: w.reshape(-1, 7).T),
    ],
)
def test_weights_have_a_grid_per_output_channel(op: str, shape: tuple[int, ...], attrs: dict, channels) -> None:
    rng = np.random.default_rng(1)
    weights = (rng.standard_normal(shape) * rng.uniform(0.01, 10, shape[-1])).astype(np.float32)
    node = gs.Node(op, attrs=attrs)
    made = quantised_weights(node, weights)
    for before, after in zip(channels(weights), channels(made), strict=True):
        scale = np.abs(before).max() / 127
        assert np.abs(after / scale - np.round(after / scale)).max() < 1e-3
        assert np.abs(after - before).max() <= scale * 0.5001 and np.abs(after).max() == pytest.approx(scale * 127)


def test_a_convolution_its_scale_and_activation_are_one_operation() -> None:
    model = net()
    found = groups(model, table(model))
    assert [(g.op, g.arithmetic) for g in found] == [
        ("Conv+BatchNormalization+Relu", Arithmetic.INT8),
        ("Sigmoid", Arithmetic.FP16),
        ("Mul", Arithmetic.INT8),
        ("Conv", Arithmetic.INT8),
        ("Add+Relu", Arithmetic.INT8),
    ]
    assert [[t.name for t in g.reads] for g in found] == [["x"], ["r"], ["r", "g1"], ["m"], ["c", "r"]]


def test_the_emulated_graph_is_the_arithmetic_by_hand() -> None:
    model = net()
    known = table(model)
    feed = next(data().begin(0)).feed
    got = run(fake_quantised(model, known, groups(model, known)), feed)["y"]

    def q(name: str, values: np.ndarray) -> np.ndarray:
        return exact(values, known.scales[name].scale)

    proto = model.to_proto()
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    for tensor in proto.graph.initializer:
        if tensor.name == "w":
            rounded = quantised_weights(gs.Node("Conv"), weights["w"])
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, "w"))

    def part(inputs: dict[str, np.ndarray], first: int, last: int, output: str) -> np.ndarray:
        cut = onnx.ModelProto()
        cut.CopyFrom(proto)
        del cut.graph.node[last:], cut.graph.node[:first], cut.graph.input[:], cut.graph.output[:]
        for name, values in inputs.items():
            cut.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
        cut.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
        return run(cut, inputs)[output]

    r = q("r", part({"x": q("x", feed["x"])}, 0, 3, "r"))
    gate = part({"r": r}, 3, 4, "g1").astype(np.float16).astype(np.float32)
    m = q("m", r * q("g1", gate))
    c = q("c", part({"m": m}, 5, 6, "c"))
    y = q("y", np.maximum(c + r, 0))
    steps = np.abs(got - y) / known.scales["y"].scale
    # onnxruntime's and numpy's last bits may put a value on the other side of a tie, one level away.
    assert (steps > 0.01).mean() < 0.01 and steps.max() < 1.01


def test_errors_are_those_of_the_two_runs() -> None:
    model = net()
    known = table(model)
    made = emulate(model, known, data())
    proto, rough = model.to_proto(), fake_quantised(model, known, groups(model, known))
    pairs = [(run(proto, s.feed)["y"], run(rough, s.feed)["y"]) for s in data().begin(0)]
    x, y = (np.concatenate([p[i].reshape(-1) for p in pairs]).astype(np.float64) for i in (0, 1))
    error = made.outputs[0]
    assert made.samples == 3 and made.snr == error.snr
    assert error.snr == pytest.approx(10 * math.log10((x @ x) / ((x - y) @ (x - y))))
    assert error.worst == pytest.approx(np.abs(x - y).max() / known.scales["y"].amax)
    assert error.cosine == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)))
    own = quantised(x.astype(np.float32), known.scales["y"].scale) - x
    assert error.own_snr == pytest.approx(10 * math.log10((x @ x) / (own @ own)), rel=1e-4)
    assert error.own_snr > error.snr > 20 and error.clipped == 0
    assert {e.tensor for e in made.layers} == {"x", "r", "g1", "m", "c", "y"}


@pytest.mark.parametrize("factor", [0.02, 50.0])
def test_a_bad_scale_comes_first(factor: float) -> None:
    model = net()
    known = table(model)
    bad = replace(known, scales={**known.scales, "m": Scale(known.scales["m"].amax * factor, "?", Certainty.EXACT)})
    good, made = emulate(model, known, data()), emulate(model, bad, data())
    assert made.layers[0].tensor == "m" and made.layers[0].group == "m"
    assert made.snr < good.snr - 3
    assert (made.layers[0].clipped or 0) > 0.1 if factor < 1 else made.layers[0].clipped == 0


def test_tied_tensors_take_the_largest_scale() -> None:
    model = net()
    known = table(model)
    shared = tied(known, groups(model, known)).scales
    largest = max(known.scales[name].amax for name in ("r", "g1", "c"))
    assert {shared[name].amax for name in ("r", "g1", "c")} == {largest}
    assert "EW-INT8-RANGE" in shared["g1"].source and shared["m"] == known.scales["m"]
    errors = {e.tensor: e for e in emulate(model, known, data(), equal_scales=True).layers}
    assert errors["g1"].amax == largest


def test_a_layer_without_a_scale_or_with_a_fixed_precision_is_not_in_int8() -> None:
    model = net()
    known = table(model)
    gap = replace(known, scales={k: v for k, v in known.scales.items() if k != "c"})
    made = emulate(model, gap, data())
    assert made.missing == {"c": "c"}
    assert [g.name for g in made.groups if g.arithmetic is Arithmetic.FP16] == ["g1", "c", "d"]
    assert made.snr > emulate(model, known, data()).snr
    for precision in ("fp16", "fp32"):
        fixed = replace(known, layer_precisions=dict.fromkeys(("a", "n", "m", "c", "d"), precision))
        assert emulate(model, fixed, data()).snr > 55
    floating = replace(known, layer_precisions=dict.fromkeys(("a", "g1", "m", "c", "d"), "fp32"))
    assert [e.snr for e in emulate(model, floating, data()).outputs] == [None]


def test_what_the_target_refuses_stays_in_floating_point() -> None:
    model = net()
    judgement = judge_model(model, load_target("orin-jp6", Precision.INT8))
    made = emulate(model, table(model), data(), judgement)
    assert [made.count(kind) for kind in Arithmetic] == [4, 1, 0]
    refused = Model.load(parse(NET.replace("float[8] v>", "float[8] vv>").replace("Sigmoid", "Softplus")))
    found = groups(refused, ScaleTable(), judge_model(refused, load_target("orin-jp6", Precision.INT8)))
    assert [(g.op, g.arithmetic) for g in found if g.op == "Softplus"] == [("Softplus", Arithmetic.FLOAT)]


def test_tables_of_other_models_and_old_operator_sets_are_refused() -> None:
    model = net()
    with pytest.raises(UsageError, match="names no tensor of this model"):
        emulate(model, ScaleTable({"other": Scale(1.0, "?", Certainty.EXACT)}), data())
    with pytest.raises(UsageError, match="there is no sample"):
        emulate(model, table(model), data(0))
    with pytest.raises(ModelError, match="operator set is 6"):
        Emitter(model.to_proto(), 6)


def test_fp16_overflow_is_seen() -> None:
    text = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,6,6] x) => (float[1,8,6,6] y) { k = Constant<value = float[1] {100000.0}>() a = Mul(x, k) y = Sigmoid(a) }
"""
    model = Model.load(parse(text))
    known = table(model)
    fixed = replace(known, layer_precisions=dict.fromkeys(("a", "y"), "fp16"))
    errors = {e.tensor: e for e in emulate(model, fixed, data()).layers}
    assert errors["a"].snr == -math.inf and errors["a"].worst == math.inf


FUSED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,8,6,6] x) => (float[1,8,6,6] y) <float[8,8,3,3] w> {
  r = Relu(x)
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, w)
  d = Add(c, r)
  y = Relu(d)
}
"""


@pytest.mark.parametrize("of_a_cache", [False, True])
def test_what_a_conv_hands_to_a_fused_add_is_neither_rounded_nor_tied(of_a_cache: bool) -> None:
    model = Model.load(parse(FUSED))
    whole = table(model)
    unary = Scale(127.0, "calib.cache", Certainty.EXACT) if of_a_cache else UNARY
    fused = replace(whole, scales={**whole.scales, "c": unary})
    found = groups(model, fused)
    assert [g.arithmetic for g in found] == [Arithmetic.INT8] * 3
    assert [[t.name for t in g.writes] for g in found] == [["r"], [], ["y"]]
    assert [t.name for t in found[2].reads] == ["r"]
    assert tied(fused, found).scales["r"].same_as(whole.scales["r"])
    names = {e.tensor for e in emulate(model, fused, data()).layers}
    assert "c" not in names and names >= {"r", "y"}
    assert emulate(model, fused, data()).snr >= emulate(model, whole, data()).snr - 0.5


def test_a_true_scale_of_one_elsewhere_is_rounded() -> None:
    model = Model.load(parse(FUSED))
    known = {**table(model).scales, "r": Scale(127.0, "calib.cache", Certainty.EXACT)}
    assert [t.name for t in groups(model, ScaleTable(known))[0].writes] == ["r"]
