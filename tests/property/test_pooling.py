"""Pooling and reduction passes over random attributes: the rewritten model gives the same numbers in onnxruntime."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite import pooling
from dlarewrite.rewrite.pass_ import options
from dlarewrite.rewrite.spec import create
from dlarewrite.testing import Ran, run

FAMILY = (
    "keepdims",
    "global-average-pool",
    "global-max-pool",
    "reduce-channel",
    "reduce-sum",
    "cumsum",
    "pool-pads",
    "pool-window",
    "average-unpadded",
    "average-exclusive",
    "average-window",
)
OLD_RUNTIME = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 24)
TARGETS = st.sampled_from(("xavier-jp4", "xavier-jp5", "orin-jp6"))
QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
# onnxruntime's CPU kernels have no fp16 Conv or pool and compute in fp32 in between, as they do before the rewrite.
TYPES = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16))


def model_of(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...],
    opset: int,
    kind: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("y",),
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
) -> onnx.ModelProto:
    """A checked model with input x of ``shape``, output shapes inferred."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def rewrite(model: onnx.ModelProto, target: str, *names: str) -> list[Ran]:
    """Run the passes one after the other, each checked against the model before it; returns those that fired."""
    done = []
    for name in names or FAMILY:
        pass_ = discover().find(name)
        instance = create(pass_, "doubtful=true" if "doubtful" in options(pass_) else "")
        ran = run(instance, model, target=target)
        if ran.changes:
            done.append(ran)
            model = ran.after
    return done


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@st.composite
def windows(draw: st.DrawFn, largest: int = 20) -> dict[str, Any]:
    kernel = [draw(st.integers(1, largest)) for _ in range(2)]
    pads = [draw(st.integers(0, k - 1)) if draw(st.booleans()) else 0 for k in kernel * 2]
    strides = [draw(st.sampled_from((1, 2, 3, 4, 6, 8, k))) for k in kernel]
    found: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    mode = draw(st.sampled_from(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if mode == "NOTSET":
        found["pads"] = pads
    else:
        found["auto_pad"] = mode
    return found


def fits(attrs: dict[str, Any], size: tuple[int, int]) -> bool:
    """Whether there is a window at all, and no auto_pad that onnxruntime takes for a negative pad."""
    if attrs.get("auto_pad", "NOTSET").startswith("SAME"):
        return all(k >= s for k, s in zip(attrs["kernel_shape"], attrs["strides"], strict=True))
    pads = attrs.get("pads", [0] * 4)
    return all(n + pads[i] + pads[i + 2] >= attrs["kernel_shape"][i] for i, n in enumerate(size))


@QUICK
@given(windows(), SIZES, st.sampled_from((8, 10, 11, 13, 18, 22)), TARGETS, TYPES, st.booleans())
def test_max_pool(attrs: dict[str, Any], size: tuple[int, int], opset: int, target: str, kind: int, ceil: bool) -> None:
    assume(fits(attrs, size) and (kind == TensorProto.FLOAT or opset >= 8))
    if ceil and opset >= 10 and "pads" in attrs:
        attrs = {**attrs, "ceil_mode": 1}
    model = model_of([helper.make_node("MaxPool", ["x"], ["y"], **attrs)], (1, 2, *size), opset, kind)
    for ran in rewrite(model, target):
        assert set(ops(ran.after)) <= {"MaxPool", "Identity"}


@pytest.mark.skipif(OLD_RUNTIME, reason="onnxruntime before 1.24 counts automatic pads in exclusive averages")
@QUICK
@given(windows(), SIZES, st.sampled_from((7, 10, 11, 13, 18, 19, 22)), TARGETS, st.booleans(), st.booleans())
def test_average_pool(
    attrs: dict[str, Any], size: tuple[int, int], opset: int, target: str, include: bool, ceil: bool
) -> None:
    assume(fits(attrs, size))
    attrs = {**attrs, "count_include_pad": int(include)}
    if ceil and opset >= 10 and "pads" in attrs:
        attrs["ceil_mode"] = 1
    model = model_of([helper.make_node("AveragePool", ["x"], ["y"], **attrs)], (1, 2, *size), opset)
    for ran in rewrite(model, target):
        assert set(ops(ran.after)) <= {"AveragePool", "Conv", "Mul", "Identity"}


@QUICK
@given(st.data(), SIZES, st.sampled_from((9, 11, 13, 17, 18, 21)), TARGETS, TYPES)
def test_reduction(data: st.DataObject, size: tuple[int, int], opset: int, target: str, kind: int) -> None:
    op = data.draw(st.sampled_from(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL1", "ReduceSumSquare", "ReduceL2")))
    axes = data.draw(st.lists(st.sampled_from((0, 1, 2, 3, -1, -2, -3)), min_size=1, max_size=3))
    axes = list({a % 4: a for a in axes}.values())
    attrs: dict[str, Any] = {"keepdims": data.draw(st.integers(0, 1))}
    as_input = opset >= 18 or (op == "ReduceSum" and opset >= 13)
    constants = {"axes": np.asarray(axes, dtype=np.int64)} if as_input else {}
    if not as_input:
        attrs["axes"] = axes
    node = helper.make_node(op, ["x", *constants], ["y"], **attrs)
    rewrite(model_of([node], (1, 5, *size), opset, kind, constants=constants), target)


@QUICK
@given(st.sampled_from(("GlobalAveragePool", "GlobalMaxPool")), SIZES, st.integers(1, 2), TARGETS, TYPES)
def test_global_pool(op: str, size: tuple[int, int], batch: int, target: str, kind: int) -> None:
    assume(size != (1, 1))
    done = rewrite(model_of([helper.make_node(op, ["x"], ["y"])], (batch, 3, *size), 13, kind), target)
    if op == "GlobalAveragePool":
        assert done and op not in ops(done[-1].after)


@QUICK
@given(st.integers(0, 1), st.integers(0, 1), st.sampled_from((1, -3)), TYPES)
def test_cumsum(exclusive: int, reverse: int, axis: int, kind: int) -> None:
    node = helper.make_node("CumSum", ["x", "axis"], ["y"], exclusive=exclusive, reverse=reverse)
    assume(kind == TensorProto.FLOAT)
    model = model_of([node], (1, 6, 3, 4), 14, kind, constants={"axis": np.asarray(axis, dtype=np.int64)})
    assert [ops(r.after) for r in rewrite(model, "orin-jp6")] == [["Conv"]]


@QUICK
@given(st.permutations((5, 9, 13, 17)), st.integers(8, 24))
def test_parallel_pools_share_their_steps(kernels: list[int], size: int) -> None:
    """Every pool of an SPP block is built upon the next smaller one, whatever their order: a pool of 5 each."""
    nodes = [
        helper.make_node("MaxPool", ["x"], [f"y{k}"], kernel_shape=[k, k], pads=[k // 2] * 4, name=f"pool{k}")
        for k in kernels
    ]
    model = model_of(nodes, (1, 2, size, size), 13, outputs=tuple(f"y{k}" for k in kernels))
    (ran,) = rewrite(model, "orin-jp6", "pool-window")
    assert [n.attribute[0].ints[0] for n in ran.after.graph.node if n.op_type == "MaxPool"] == [5] * 4


@pytest.mark.parametrize("target", ["xavier-jp5", "orin-jp6"])
def test_read_twice_and_as_output(target: str) -> None:
    """The pooled tensor keeps its name as an output and its reader."""
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Sigmoid", ["p"], ["y"])]
    (ran,) = rewrite(model_of(nodes, (1, 3, 14, 14), 13, outputs=("p", "y")), target)
    assert [o.name for o in ran.after.graph.output] == ["p", "y"]
    assert ops(ran.after) == ["AveragePool", "AveragePool", "Sigmoid"]


@QUICK
@given(
    st.lists(st.sampled_from(("Add", "Sub", "Mul")), max_size=2),
    st.booleans(),
    st.integers(2, 3),
    st.booleans(),
    st.sampled_from((13, 18)),
)
def test_stacked_branches(between: list[str], gated: bool, count: int, small_gate: bool, opset: int) -> None:
    """Stacks of branches, what is done to them, and a Softmax over the stack: all slice by slice."""
    channels, last = 3, "x5"
    gate_from = "m" if small_gate else "x"
    nodes = [
        helper.make_node("GlobalMaxPool", ["x"], ["m"]),
        helper.make_node("Reshape", ["x", "stack"], ["x5"]),
        helper.make_node("Reshape", [gate_from, "ones" if small_gate else "stack"], ["g5"]),
    ]
    if gated:
        nodes.append(helper.make_node("Softmax", ["g5"], ["p5"], axis=1))
    for i, op in enumerate(between):
        nodes.append(helper.make_node(op, [last, "p5" if gated else "g5"], [f"t{i}"]))
        last = f"t{i}"
    nodes.append(helper.make_node("ReduceSum", [last, "axis"], ["y"], keepdims=0))
    constants = {
        "stack": np.asarray([1, count, channels, 4, 5]),
        "ones": np.asarray([1, count, channels, 1, 1]),
        "axis": np.asarray([1]),
    }
    model = model_of(nodes, (1, count * channels, 4, 5), opset, constants=constants)
    done = rewrite(model, "orin-jp6", "stack-sum")
    assert bool(done) == (not gated or not between or count == 2)
    assert all("ReduceSum" not in ops(ran.after) for ran in done)


def _pool(values: np.ndarray[Any, Any], step: pooling.Step, maximum: bool) -> np.ndarray[Any, Any]:
    assert max(step.begin, step.end) < step.kernel <= pooling.WINDOW
    assert max(step.begin, step.end) <= pooling.PAD and step.stride <= pooling.STRIDE
    fill = -np.inf if maximum else 0.0
    padded = np.concatenate([np.full(step.begin, fill), values, np.full(step.end, fill)])
    starts = [i * step.stride for i in range(step.length(len(values)))]
    take = np.max if maximum else np.mean
    return np.asarray([take(padded[s : s + step.kernel]) for s in starts])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.data(), st.booleans())
def test_plans_compose_to_the_window(kernel: int, size: int, stride: int, data: st.DataObject, maximum: bool) -> None:
    """Step by step, a plan gives what the one window gives, within the limits of the pooling unit."""
    begin, end = (data.draw(st.integers(0, kernel - 1)) for _ in range(2))
    stride = kernel if data.draw(st.booleans()) else stride
    assume(size + begin + end >= kernel)
    count = (size + begin + end - kernel) // stride + 1
    plan = (pooling.max_plan if maximum else pooling.average_plan)(pooling.Axis(size, kernel, stride, begin, count))
    assume(plan is not None)
    values = np.random.default_rng(size).standard_normal(size)
    fill = -np.inf if maximum else 0.0
    padded = np.concatenate([np.full(begin, fill), values, np.full(end, fill)])
    take = np.max if maximum else np.mean
    expected = np.asarray([take(padded[i * stride : i * stride + kernel]) for i in range(count)])
    for step in plan or ():
        values = _pool(values, step, maximum)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 7, 13, 31, 56, 97, 113, 361, 1009, 8191, 8192])
def test_every_size_has_tiles(size: int) -> None:
    left = size
    for step in pooling.tile_plan(size):
        assert max(step.begin, step.end) < step.kernel == step.stride <= pooling.WINDOW
        left = step.length(left)
    assert left == 1
