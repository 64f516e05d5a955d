"""Clean-up passes over random attributes: they fire where they should, and the outputs stay equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.rewrite.context import Settings
from dlarewrite.testing import Ran, run
from dlarewrite_passes.drop_noops import DropNoops
from dlarewrite_passes.fold_batchnorm import FoldBatchNorm
from dlarewrite_passes.fold_constants import FoldConstants
from dlarewrite_passes.fold_pad import FoldPad
from dlarewrite_passes.fold_scale_bias import FoldScaleBias
from dlarewrite_passes.freeze_shapes import FreezeShapes
from dlarewrite_passes.narrow_types import NarrowTypes
from dlarewrite_passes.repvgg_merge import RepVggMerge
from dlarewrite_passes.share_common import ShareCommon
from dlarewrite_passes.upgrade_legacy import UpgradeLegacy

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
SMALL = st.integers(1, 3)


def weights(name: str, dims: list[int], seed: int, kind: Any = np.float32, low: float = -1.0) -> onnx.TensorProto:
    rng = np.random.default_rng([seed, len(name)])
    return numpy_helper.from_array(rng.uniform(low, 1.0, dims).astype(kind), name)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: list[str],
    constants: list[onnx.TensorProto],
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kind, d) for n, d in inputs.items()],
        [helper.make_tensor_value_info(n, kind, None) for n in outputs],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    onnx.checker.check_model(inferred)
    return inferred


def ops(ran: Ran) -> list[str]:
    return [n.op_type for n in ran.after.graph.node]


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Attributes and sizes of a Conv that has an output, in one to three spatial dimensions."""
    rank = draw(st.integers(1, 3))
    group = draw(st.sampled_from((1, 1, 2, 3)))
    kernel = [draw(SMALL) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    return {
        "group": group,
        "inputs": group * draw(SMALL),
        "outputs": group * draw(SMALL),
        "kernel": kernel,
        "dilations": dilations,
        "strides": [draw(st.integers(1, 2)) for _ in range(rank)],
        "pads": [draw(st.integers(0, kernel[i % rank] - 1)) for i in range(2 * rank)],
        "size": [(k - 1) * d + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilations, strict=True)],
        "seed": draw(st.integers(0, 99)),
    }


def conv_node(conv: dict[str, Any], op: str, read: list[str], made: str, *, padded: bool = True) -> onnx.NodeProto:
    pads = conv["pads"] if padded else [0] * len(conv["pads"])
    return helper.make_node(
        op, read, [made], group=conv["group"], strides=conv["strides"], dilations=conv["dilations"], pads=pads
    )


def conv_weight(conv: dict[str, Any], op: str, kind: Any = np.float32) -> onnx.TensorProto:
    across, along = conv["outputs"], conv["inputs"] // conv["group"]
    if op == "ConvTranspose":
        across, along = conv["inputs"], conv["outputs"] // conv["group"]
    return weights("w", [across, along, *conv["kernel"]], conv["seed"], kind)


def statistics(count: int, seed: int, kind: Any = np.float32) -> list[onnx.TensorProto]:
    low = {"v": 0.1}
    return [weights(n, [count], seed + i, kind, low.get(n, -1.0)) for i, n in enumerate("sbmv")]


@QUICK
@given(convolutions(), st.sampled_from(("Conv", "ConvTranspose")), st.sampled_from((7, 9, 13, 15, 21)), st.booleans())
def test_batchnorm_after_a_layer(conv: dict[str, Any], op: str, opset: int, biased: bool) -> None:
    constants = [
        conv_weight(conv, op),
        weights("bias", [conv["outputs"]], 5),
        *statistics(conv["outputs"], conv["seed"]),
    ]
    nodes = [
        conv_node(conv, op, ["x", "w", *(["bias"] if biased else [])], "a"),
        helper.make_node("BatchNormalization", ["a", *"sbmv"], ["y"], epsilon=0.01),
    ]
    ran = run(FoldBatchNorm, model(nodes, {"x": [2, conv["inputs"], *conv["size"]]}, ["y"], constants, opset))
    assert ops(ran) == [op]


@QUICK
@given(convolutions(), st.booleans())
def test_batchnorm_before_a_conv(conv: dict[str, Any], padded: bool) -> None:
    constants = [conv_weight(conv, "Conv"), *statistics(conv["inputs"], conv["seed"])]
    nodes = [
        helper.make_node("BatchNormalization", ["x", *"sbmv"], ["a"]),
        conv_node(conv, "Conv", ["a", "w"], "y", padded=padded),
    ]
    ran = run(FoldBatchNorm, model(nodes, {"x": [1, conv["inputs"], *conv["size"]]}, ["y"], constants))
    if padded and any(conv["pads"]):
        assert ops(ran) == ["BatchNormalization", "Conv"]
        assert "pads with zeros" in ran.reasons[0]
    else:
        assert ops(ran) == ["Conv"]


@QUICK
@given(convolutions())
def test_batchnorm_in_half_precision(conv: dict[str, Any]) -> None:
    kind = np.float16
    constants = [conv_weight(conv, "Conv", kind), *statistics(conv["outputs"], conv["seed"], kind)]
    nodes = [conv_node(conv, "Conv", ["x", "w"], "a"), helper.make_node("BatchNormalization", ["a", *"sbmv"], ["y"])]
    shape = [1, conv["inputs"], *conv["size"]]
    ran = run(FoldBatchNorm, model(nodes, {"x": shape}, ["y"], constants, 15, TensorProto.FLOAT16))
    assert ops(ran) == ["Conv"]
    assert {t.data_type for t in ran.after.graph.initializer} == {TensorProto.FLOAT16}


@QUICK
@given(
    convolutions(),
    st.sampled_from(("Conv", "ConvTranspose")),
    st.sampled_from(("Mul", "Add", "Sub", "Div")),
    st.booleans(),
    st.sampled_from(("scalar", "one", "channels")),
    st.booleans(),
)
def test_scale_and_bias_after_a_layer(
    conv: dict[str, Any], op: str, maths: str, swapped: bool, form: str, shared: bool
) -> None:
    rank = len(conv["kernel"])
    dims = {"scalar": [], "one": [1], "channels": [conv["outputs"], *(1,) * rank]}[form]
    constants = [conv_weight(conv, op), weights("c", dims, conv["seed"], low=0.25)]
    swapped = swapped and maths != "Div"
    nodes = [
        conv_node(conv, op, ["x", "w"], "a"),
        helper.make_node(maths, ["c", "a"] if swapped else ["a", "c"], ["y"]),
    ]
    if shared:
        nodes.append(conv_node(conv, op, ["x", "w"], "z"))
    outputs = ["y", "z"] if shared else ["y"]
    ran = run(FoldScaleBias, model(nodes, {"x": [1, conv["inputs"], *conv["size"]]}, outputs, constants))
    assert ops(ran) == [op, op] if shared else [op]


@QUICK
@given(convolutions(), st.sampled_from(("Mul", "Add", "Sub", "Div")), st.booleans())
def test_scale_and_bias_before_a_conv(conv: dict[str, Any], maths: str, padded: bool) -> None:
    rank = len(conv["kernel"])
    constants = [conv_weight(conv, "Conv"), weights("c", [1, conv["inputs"], *(1,) * rank], conv["seed"], low=0.25)]
    nodes = [helper.make_node(maths, ["x", "c"], ["a"]), conv_node(conv, "Conv", ["a", "w"], "y", padded=padded)]
    ran = run(FoldScaleBias, model(nodes, {"x": [1, conv["inputs"], *conv["size"]]}, ["y"], constants))
    moves_zeros = maths in ("Add", "Sub") and padded and any(conv["pads"])
    assert ops(ran) == ([maths, "Conv"] if moves_zeros else ["Conv"])


@QUICK
@given(
    st.sampled_from(("Conv", "AveragePool", "MaxPool")),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.lists(st.integers(0, 1), min_size=4, max_size=4),
    st.lists(st.integers(2, 4), min_size=2, max_size=2),
    st.lists(st.integers(1, 3), min_size=2, max_size=2),
    st.sampled_from((9, 11, 17)),
    st.booleans(),
)
def test_pad_before_a_window(
    op: str, outer: list[int], inner: list[int], kernel: list[int], strides: list[int], opset: int, counted: bool
) -> None:
    full = [0, 0, *outer[:2], 0, 0, *outer[2:]]
    constants = [weights("w", [2, 2, *kernel], 1)]
    if opset < 11:
        pad = helper.make_node("Pad", ["r"], ["a"], pads=full)
    else:
        pad = helper.make_node("Pad", ["r", "p"], ["a"])
        constants.append(numpy_helper.from_array(np.array(full, np.int64), "p"))
    attrs: dict[str, Any] = {"pads": inner, "strides": strides}
    if op != "Conv":
        attrs["kernel_shape"] = kernel
    if op == "AveragePool":
        attrs["count_include_pad"] = int(counted)
    nodes = [helper.make_node("Relu", ["x"], ["r"]), pad]
    nodes.append(helper.make_node(op, ["a", "w"] if op == "Conv" else ["a"], ["y"], **attrs))
    ran = run(FoldPad, model(nodes, {"x": [1, 2, 6, 7]}, ["y"], constants, opset))
    fits = all(a + b < k for a, b, k in zip(outer, inner, kernel * 2, strict=True)) and any(outer)
    equal = op != "AveragePool" or counted or not any(inner)
    assert ops(ran) == (["Relu", op] if fits and equal else ["Relu", "Pad", op])


@QUICK
@given(st.data())
def test_parallel_convolutions_merge(data: st.DataObject) -> None:
    channels, strides = 4, [data.draw(st.integers(1, 2), "stride")] * 2
    group = data.draw(st.sampled_from((1, 2, 4)), "group")
    constants, nodes, summed = [], [], []
    for i in range(data.draw(st.integers(2, 3), "branches")):
        kernel = data.draw(st.sampled_from(((1, 1), (3, 3), (1, 3), (3, 1))), "kernel")
        pads = [(k - 1) // 2 for k in kernel] * 2
        constants.append(weights(f"w{i}", [channels, channels // group, *kernel], i))
        nodes.append(
            helper.make_node("Conv", ["x", f"w{i}"], [f"c{i}"], pads=pads, strides=strides, group=group, name=f"n{i}")
        )
        summed.append(f"c{i}")
    if strides == [1, 1] and data.draw(st.booleans(), "identity"):
        summed.append("x")
    nodes.append(helper.make_node("Sum", summed, ["y"]))
    size = data.draw(st.integers(5, 8), "size")
    ran = run(RepVggMerge, model(nodes, {"x": [1, channels, size, size]}, ["y"], constants))
    taken = [list(w.dims[2:]) for w in constants]
    merged = max(k[0] for k in taken) * max(k[1] for k in taken)
    assert (ops(ran) == ["Conv"]) is (merged <= sum(k[0] * k[1] for k in taken))


@QUICK
@given(st.data())
def test_constant_integer_arithmetic(data: st.DataObject) -> None:
    """Chains of shape arithmetic fold to what onnxruntime computes."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99), "seed"))
    constants = [
        numpy_helper.from_array(rng.integers(-9, 9, 4), "c0"),
        numpy_helper.from_array(rng.integers(1, 5, 4), "c1"),
    ]
    nodes, last = [], "c0"
    for i in range(data.draw(st.integers(1, 6), "length")):
        op = data.draw(st.sampled_from(("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Neg", "Abs")), "op")
        nodes.append(helper.make_node(op, [last] if op in ("Neg", "Abs") else [last, "c1"], [f"t{i}"]))
        last = f"t{i}"
    nodes += [
        helper.make_node("Cast", [last], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["f"], ["g"]),
        helper.make_node("Mul", ["x", "g"], ["y"]),
    ]
    ran = run(FoldConstants, model(nodes, {"x": [2, 4]}, ["y"], constants))
    assert ops(ran) == ["Mul"]


@QUICK
@given(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=5), st.booleans())
def test_sparse_constants_become_dense(places: set[tuple[int, int]], linear: bool) -> None:
    at = np.array(sorted(places), np.int64).reshape(-1, 2)
    indices = at @ [4, 1] if linear else at
    values = numpy_helper.from_array(np.arange(1, len(at) + 1, dtype=np.float32), "v")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(indices, "i"), [3, 4])
    nodes = [helper.make_node("Constant", [], ["c"], sparse_value=sparse), helper.make_node("Add", ["x", "c"], ["y"])]
    ran = run(FoldConstants, model(nodes, {"x": [3, 4]}, ["y"], []))
    assert ops(ran) == ["Add"]


@QUICK
@given(st.data())
def test_moves_that_cancel(data: st.DataObject) -> None:
    """Whatever chain of moves is drawn, followed by its inverse, nothing is left but the Relu."""
    dims, nodes, constants = [1, 2, 3, 4], [], []
    undo: list[tuple[str, str, dict[str, Any], str | None]] = []
    for i in range(data.draw(st.integers(1, 4), "length")):
        kind = data.draw(st.sampled_from(("Transpose", "Reshape", "Identity", "Mul")), "kind")
        here, there = f"t{i}", f"u{i}"
        read = "x" if i == 0 else f"t{i - 1}"
        if kind == "Transpose":
            perm = data.draw(st.permutations(range(len(dims))), "perm")
            nodes.append(helper.make_node("Transpose", [read], [here], perm=perm))
            undo.append((there, "Transpose", {"perm": [perm.index(a) for a in range(len(perm))]}, None))
            dims = [dims[a] for a in perm]
        elif kind == "Reshape":
            wanted = data.draw(st.sampled_from(([24], [4, 6], [2, 3, 4], [1, 1, 24, 1])), "dims")
            constants += [
                numpy_helper.from_array(np.array(d, np.int64), n + "s") for n, d in ((here, wanted), (there, dims))
            ]
            nodes.append(helper.make_node("Reshape", [read, here + "s"], [here]))
            undo.append((there, "Reshape", {}, there + "s"))
            dims = list(wanted)
        elif kind == "Mul":
            constants.append(numpy_helper.from_array(np.ones((1,) * len(dims), np.float32), here + "s"))
            nodes.append(helper.make_node("Mul", [read, here + "s"], [here]))
        else:
            nodes.append(helper.make_node("Identity", [read], [here]))
        last = here
    for there, op, attrs, extra in reversed(undo):
        nodes.append(helper.make_node(op, [last, *([extra] if extra else [])], [there], **attrs))
        last = there
    nodes.append(helper.make_node("Relu", [last], ["y"]))
    ran = run(DropNoops, model(nodes, {"x": [1, 2, 3, 4]}, ["y"], constants))
    assert ops(ran) == ["Relu"]


@QUICK
@given(
    st.sampled_from(("Softmax", "LogSoftmax")),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.integers(-4, 3),
    st.sampled_from((7, 9, 11, 12)),
)
def test_old_softmax(op: str, dims: list[int], axis: int, opset: int) -> None:
    axis = axis % len(dims)
    nodes = [helper.make_node(op, ["x"], ["y"], axis=axis)]
    ran = run(UpgradeLegacy, model(nodes, {"x": dims}, ["y"], [], opset))
    assert ran.after.opset_import[0].version == 13
    joined = [d for d in dims[axis:] if d > 1]
    assert ops(ran) == ([op] if len(joined) < 2 or axis == len(dims) - 1 else ["Reshape", op, "Reshape"])


@QUICK
@given(
    st.sampled_from((7, 9, 10)),
    st.sampled_from(("nearest", "linear")),
    st.sampled_from((0.5, 1.0, 1.5, 2.0, 2.5, 3.0)),
    st.integers(2, 7),
)
def test_old_resampling(opset: int, mode: str, factor: float, size: int) -> None:
    factor = factor if opset == 10 else max(factor, 1.0)
    scales = [1.0, 1.0, factor, factor]
    constants = [numpy_helper.from_array(np.array(scales, np.float32), "s")]
    if opset == 7:
        nodes = [helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=scales)]
    else:
        nodes = [helper.make_node("Resize" if opset == 10 else "Upsample", ["x", "s"], ["y"], mode=mode)]
    ran = run(UpgradeLegacy, model(nodes, {"x": [1, 2, size, size + 1]}, ["y"], constants, opset))
    assert ops(ran) == ["Resize"]


@QUICK
@given(st.data(), st.sampled_from((7, 9, 10, 11, 12)))
def test_old_attributes(data: st.DataObject, opset: int) -> None:
    """Slice, Pad, Clip, Squeeze and their like in a row, from opsets that know them as attributes."""
    nodes, last = [], "x"
    if opset < 10:
        start = data.draw(st.integers(0, 2), "start")
        nodes.append(helper.make_node("Slice", [last], ["a"], axes=[2], starts=[start], ends=[9]))
        last = "a"
    if opset < 11:
        value = data.draw(st.sampled_from((0.0, 0.5)), "value")
        nodes.append(helper.make_node("Pad", [last], ["b"], pads=[0, 0, 1, 0, 0, 0, 0, 2], value=value))
        bounds = data.draw(st.sampled_from(({}, {"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.5})), "bounds")
        nodes.append(helper.make_node("Clip", ["b"], ["c"], **bounds))
        last = "c"
    nodes += [
        helper.make_node("Unsqueeze", [last], ["d"], axes=[0, 3]),
        helper.make_node("Squeeze", ["d"], ["e"], axes=[0, 3]),
        helper.make_node("Split", ["e"], ["f", "g"], axis=1, split=[1, 2]),
        helper.make_node("ReduceSum", ["g"], ["h"], axes=[1], keepdims=data.draw(st.integers(0, 1), "keepdims")),
    ]
    ran = run(UpgradeLegacy, model(nodes, {"x": [2, 3, 5, 4]}, ["f", "h"], [], opset))
    assert ran.after.opset_import[0].version == 13


@QUICK
@given(st.integers(1, 3), st.integers(8, 12), st.integers(8, 12))
def test_frozen_shapes_reach_the_outputs(batch: int, height: int, width: int) -> None:
    constants = [weights("w", [4, 3, 3, 3], 0), numpy_helper.from_array(np.array([0, -1], np.int64), "s")]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2]),
        helper.make_node("Reshape", ["a", "s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "K"])],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ran = run(FreezeShapes, proto, settings=Settings(shapes={"x": (batch, 3, height, width)}), numeric=False)
    dims = [d.dim_value for d in ran.after.graph.output[0].type.tensor_type.shape.dim]
    assert dims == [batch, 4 * ((height - 3) // 2 + 1) * ((width - 3) // 2 + 1)]


@QUICK
@given(st.sampled_from(("Relu", "Exp", "Sigmoid", "Sqrt", "Neg")), st.integers(1, 4), st.integers(1, 4))
def test_doubles_become_floats(op: str, rows: int, columns: int) -> None:
    constants = [weights("w", [columns, 3], 2, np.float64)]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Abs", ["a"], ["b"]),
        helper.make_node(op, ["b"], ["y"]),
    ]
    ran = run(NarrowTypes, model(nodes, {"x": [rows, columns]}, ["y"], constants, 17, TensorProto.DOUBLE))
    assert ops(ran) == ["Cast", "MatMul", "Abs", op, "Cast"]
    assert ran.after.graph.output[0].type.tensor_type.elem_type == TensorProto.DOUBLE


@QUICK
@given(st.lists(st.tuples(st.sampled_from(("Relu", "Sigmoid", "Tanh")), st.integers(0, 3)), min_size=2, max_size=8))
def test_common_work_is_done_once(drawn: list[tuple[str, int]]) -> None:
    nodes = []
    made: dict[int, tuple[str, ...]] = {}
    for i, (op, back) in enumerate(drawn):
        source = made.get(i - 1 - back, ())
        nodes.append(helper.make_node(op, [f"t{i - 1 - back}" if source else "x"], [f"t{i}"]))
        made[i] = (*source, op)
    nodes.append(helper.make_node("Sum", [f"t{i}" for i in range(len(drawn))], ["y"]))
    ran = run(ShareCommon, model(nodes, {"x": [2, 3]}, ["y"], []))
    assert len(ops(ran)) == len(set(made.values())) + 1
