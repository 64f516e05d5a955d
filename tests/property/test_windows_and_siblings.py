"""Dilated pools, sibling convolutions, scaled weights, pieces of Concats over random attributes: the same numbers."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite.context import Settings
from dlarewrite.rewrite.spec import create
from dlarewrite.target import Precision
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=20, deadline=None, derandomize=True)
OPSETS = st.sampled_from((10, 13, 18))
TYPES = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT16))
NUMPY = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
ROOMY = Settings(growth_macs=1000.0, growth_bytes=2**40)


def model_of(
    nodes: list[onnx.NodeProto],
    opset: int,
    inputs: dict[str, tuple[int, ...]],
    outputs: tuple[str, ...] = ("y",),
    constants: dict[str, np.ndarray] | None = None,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, kind, None) for n in outputs],
        [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def rewrite(name: str, model: onnx.ModelProto, **options: str) -> Ran:
    text = ",".join(f"{k}={v}" for k, v in options.items() if k not in ("target", "precision"))
    return run(
        create(discover().find(name), text),
        model,
        target=options.get("target", "orin-jp6"),
        precision=Precision(options.get("precision", "fp16")),
        settings=ROOMY,
    )


def ops(ran: Ran) -> set[str]:
    return {node.op_type for node in ran.after.graph.node}


@QUICK
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from(("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
    st.sampled_from((("orin-jp6", "fp16"), ("orin-jp6", "int8"), ("xavier-jp4", "fp16"))),
    TYPES,
)
def test_pool_dilation(
    kernel: tuple[int, int],
    dilations: tuple[int, int],
    strides: tuple[int, int],
    pads: list[int],
    ceil_mode: bool,
    positive: bool,
    auto_pad: str,
    built: tuple[str, str],
    kind: int,
) -> None:
    assume(max(d for k, d in zip(kernel, dilations, strict=True)) > 1)
    assume(all(p < k for p, k in zip(pads, kernel * 2, strict=True)))
    attrs: dict[str, object] = {"kernel_shape": kernel, "dilations": dilations, "strides": strides}
    # ONNX's inference knows no ceil_mode beside auto_pad.
    attrs |= {"pads": pads, "ceil_mode": int(ceil_mode)} if auto_pad == "NOTSET" else {"auto_pad": auto_pad}
    nodes = [
        helper.make_node("Relu" if positive else "Neg", ["x"], ["t"]),
        helper.make_node("MaxPool", ["t"], ["y"], **attrs),
    ]
    ran = rewrite(
        "pool-dilation", model_of(nodes, 12, {"x": (2, 3, 9, 11)}, kind=kind), target=built[0], precision=built[1]
    )
    if ran.changes:
        pools = [n for n in ran.after.graph.node if n.op_type == "MaxPool"]
        assert all(a.name != "dilations" for n in pools for a in n.attribute)
    elif not ceil_mode:
        assert ran.reasons


@QUICK
@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=4),
    st.sampled_from((1, 3)),
    st.integers(1, 2),
    st.sampled_from(("", "Relu", "LeakyRelu", "Sigmoid")),
    st.booleans(),
    st.booleans(),
    OPSETS,
    TYPES,
)
def test_sibling_convs(
    maps: list[int], kernel: int, stride: int, activation: str, biased: bool, shared: bool, opset: int, kind: int
) -> None:
    rng = np.random.default_rng(sum(maps))
    nodes, constants, joined = [], {}, []
    for i, count in enumerate(maps):
        constants[f"w{i}"] = rng.standard_normal((count, 4, kernel, kernel)).astype(NUMPY[kind])
        given_ = [f"w{i}"]
        if biased and i % 2 == 0:
            constants[f"b{i}"] = rng.standard_normal(count).astype(NUMPY[kind])
            given_.append(f"b{i}")
        attrs = {"pads": [kernel // 2] * 4, "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", ["x", *given_], [f"c{i}"], **attrs))
        joined.append(f"c{i}")
        if activation:
            nodes.append(helper.make_node(activation, [f"c{i}"], [f"a{i}"]))
            joined[-1] = f"a{i}"
    nodes.append(helper.make_node("Concat", joined, ["y"], axis=1))
    outputs = ("y", joined[0]) if shared else ("y",)
    ran = rewrite("sibling-convs", model_of(nodes, opset, {"x": (1, 4, 9, 8)}, outputs, constants, kind))
    convs = sum(n.op_type == "Conv" for n in ran.after.graph.node)
    assert convs == (1 if not shared else 1 + (len(maps) > 1))


@QUICK
@given(
    st.sampled_from(((), (1,), (5, 1, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1))),
    st.sampled_from(("none", "constant", "computed")),
    st.booleans(),
    OPSETS,
)
def test_conv_dynamic_weight(factor: tuple[int, ...], bias: str, swapped: bool, opset: int) -> None:
    rng = np.random.default_rng(len(factor))
    constants = {"w": rng.standard_normal((5, 3, 3, 3)).astype(np.float32)}
    inputs = {"x": (2, 3, 6, 6), "s": factor}
    read = ["x", "v"]
    if bias == "constant":
        constants["b"] = rng.standard_normal(5).astype(np.float32)
    elif bias == "computed":
        inputs["b"] = (5,)
    read += [] if bias == "none" else ["b"]
    nodes = [
        helper.make_node("Mul", ["s", "w"] if swapped else ["w", "s"], ["v"]),
        helper.make_node("Conv", read, ["y"], pads=[1, 1, 1, 1], strides=[2, 1]),
    ]
    ran = rewrite("conv-dynamic-weight", model_of(nodes, opset, inputs, constants=constants))
    assert ran.changes, ran.reasons
    held = {t.name for t in ran.after.graph.initializer}
    assert all(n.input[1] in held for n in ran.after.graph.node if n.op_type == "Conv")


@QUICK
@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.data(), st.sampled_from((1, 2, 3)), OPSETS)
def test_slice_of_concat(sizes: list[int], data: st.DataObject, axis: int, opset: int) -> None:
    first = data.draw(st.integers(0, sum(sizes) - 1))
    end = data.draw(st.integers(first + 1, sum(sizes)))
    edges = {sum(sizes[:i]) for i in range(len(sizes) + 1)}
    shapes = {f"x{i}": tuple(n if a == axis else 2 for a in range(4)) for i, n in enumerate(sizes)}
    constants = {k: np.asarray([v], dtype=np.int64) for k, v in (("s", first), ("e", end), ("a", axis - 4))}
    nodes = [
        helper.make_node("Concat", list(shapes), ["j"], axis=axis),
        helper.make_node("Slice", ["j", "s", "e", "a"], ["t"]),
        helper.make_node("Relu", ["t"], ["y"]),
    ]
    ran = rewrite("slice-of-concat", model_of(nodes, opset, shapes, constants=constants))
    whole = (first, end) == (0, sum(sizes))
    assert bool(ran.changes) == ({first, end} <= edges and not whole)


def test_structured_sparsity_leaves_at_most_two_of_four() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 70, 3, 3)).astype(np.float32)
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])], 13, {"x": (1, 70, 5, 5)}, constants={"w": weights.copy()}
    )
    ran = rewrite("structured-sparsity", model, loss="1", precision="int8")
    (after,) = (numpy_helper.to_array(t) for t in ran.after.graph.initializer)
    kept = np.pad(after != 0, ((0, 0), (0, 2), (0, 0), (0, 0))).reshape(4, 18, 4, 3, 3).sum(axis=2)
    assert kept.max() == 2
    assert np.array_equal(after[after != 0], weights[after != 0])
    assert rewrite("structured-sparsity", model, loss="1", precision="int8", target="xavier-jp5").changes == []
