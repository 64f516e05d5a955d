"""Normalizations, Gelu and Mish in operators of the DLA: the same numbers over random shapes and over magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import erf, ndtr

from dlarewrite.catalogue import discover
from dlarewrite.rewrite import root
from dlarewrite.rewrite.context import Settings
from dlarewrite.rewrite.spec import create
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=20, deadline=None, derandomize=True)
SIZES = st.sampled_from((2, 3, 7, 11, 16))
WIDE = Settings(growth_macs=1000.0)


def rewrite(name: str, model: onnx.ModelProto) -> Ran:
    ran = run(create(discover().find(name), ""), model, settings=WIDE)
    assert len(ran.changes) == 1, ran.reasons
    return ran


def model_of(nodes: list[onnx.NodeProto], opset: int, dims: list[int], constants: dict[str, Any]) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in "xy")
    held = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], held), opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def gains(size: int) -> dict[str, NDArray[np.float32]]:
    return {n: np.linspace(a, b, size, dtype=np.float32) for n, a, b in (("s", 0.5, 2.0), ("b", -1.0, 1.0))}


def norm(form: str, dims: list[int], groups: int, epsilon: float) -> onnx.ModelProto:
    if form == "group":
        node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=groups, epsilon=epsilon)
        return model_of([node], 21, dims, gains(dims[1]))
    if form == "instance":
        node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], epsilon=epsilon)
        return model_of([node], 13, dims, gains(dims[1]))
    if form == "layer":
        nodes = [
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
            helper.make_node("LayerNormalization", ["t", "s", "b"], ["n"], epsilon=epsilon),
            helper.make_node("Transpose", ["n"], ["y"], perm=[0, 3, 1, 2]),
        ]
        return model_of(nodes, 17, dims, gains(dims[1]))
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["r"]),
        helper.make_node("InstanceNormalization", ["r", "s", "b"], ["n"], epsilon=epsilon),
        helper.make_node("Reshape", ["n", "full"], ["y"]),
    ]
    shapes = {"flat": np.array([0, groups, -1]), "full": np.array(dims)}
    return model_of(nodes, 13, dims, {**gains(groups), **shapes})


@QUICK
@given(
    st.sampled_from(("group", "instance", "layer", "reshapes")),
    st.sampled_from(((4, 2), (6, 1), (8, 4), (3, 3))),
    SIZES,
    SIZES,
    st.integers(1, 2),
    st.sampled_from((1e-6, 1e-5, 1e-3)),
)
def test_norms(form: str, channels: tuple[int, int], height: int, width: int, batch: int, epsilon: float) -> None:
    model = norm(form, [batch, channels[0], height, width], channels[1], epsilon)
    assert not {"InstanceNormalization", "GroupNormalization", "LayerNormalization", "Transpose", "Reshape"} & {
        n.op_type for n in rewrite("norm-explicit", model).after.graph.node
    }


@pytest.mark.parametrize("exponent", range(-5, 5))
def test_norms_of_any_magnitude(exponent: int) -> None:
    """Deviations from 1e-5, where epsilon rules, to 1e4; FP16 itself ends at 65504."""
    ran = rewrite("norm-explicit", norm("group", [1, 8, 16, 12], 2, 1e-5))
    scale = 10.0**exponent
    x = (np.random.default_rng(3).standard_normal((1, 8, 16, 12)) * scale + scale).astype(np.float32)
    before, after = answers(ran, x)
    assert np.abs(before - after).max() <= 2e-6 * np.abs(before).max()


@pytest.mark.parametrize("low", (root.SMALLEST, 1e-5, 1e-3, 0.5))
def test_the_polygon_starts_newtons_iteration_everywhere(low: float) -> None:
    """It misses 1/sqrt(2 v) by less than 10 %, all its weights are positive, and FP16 holds them."""
    bends, weights = root.polygon(low)
    v = np.geomspace(low, root.LARGEST, 20001)
    y = np.maximum(root.OFFSET - v[:, None] * bends, 0.0) @ weights
    assert np.abs(y * np.sqrt(2.0 * v) - 1.0).max() < 0.1
    assert weights.min() > 0.0
    assert max(weights.max(), bends.max(), 1.5 / np.sqrt(low)) < np.finfo(np.float16).max


def test_many_channels_are_split_by_knots() -> None:
    """More maps than one Conv may have are several Convs that are summed."""
    ran = rewrite("norm-explicit", norm("instance", [1, 400, 2, 2], 400, 1e-5))
    assert max(i.dims[0] for i in ran.after.graph.initializer if i.dims) <= 8192
    assert sum(n.op_type == "Relu" for n in ran.after.graph.node) == 2


EXACT: dict[str, tuple[str, int, Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "Gelu": ("gelu-logit", 20, lambda x: x * ndtr(x), 6.8e-8),
    "Erf": ("gelu-logit", 13, erf, 1.4e-7),
    "Mish": ("swish-mish", 18, lambda x: x * np.tanh(np.logaddexp(0.0, x)), 1.1e-8),
}


@pytest.mark.parametrize("op", EXACT)
def test_activations_are_right_for_every_value(op: str) -> None:
    """Within the stated error of the exact function over [-30, 30], besides a few ulps of the Sigmoid's factor x."""
    name, opset, exact, bound = EXACT[op]
    ran = rewrite(name, model_of([helper.make_node(op, ["x"], ["y"])], opset, [1, 1, 100, 6001], {}))
    x = np.linspace(-30.0, 30.0, 600100, dtype=np.float32).reshape(1, 1, 100, 6001)
    error = np.abs(exact(x.astype(np.float64)) - answers(ran, x)[1])
    assert (error / np.maximum(np.abs(x), 1.0)).max() <= bound + 3e-7


def test_single_values_are_left_alone() -> None:
    """Their variance is 0, and what is left is rounding times 1/sqrt(epsilon)."""
    ran = run(discover().find("norm-explicit"), norm("instance", [1, 4, 1, 1], 4, 1e-5), settings=WIDE)
    assert not ran.changes
    assert ran.reasons == ["it normalizes single values, whose variance is 0"]


def answers(ran: Ran, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    return tuple(
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0].astype(np.float64)
        for m in (ran.before, ran.after)
    )


@QUICK
@given(
    st.sampled_from(("divide", "reciprocal", "power")),
    st.sampled_from(((1,), (2, 3), (1, 2, 3))),
    SIZES,
    SIZES,
    st.integers(1, 2),
    st.sampled_from((1e-6, 1e-5, 1e-3)),
    st.sampled_from((13, 17)),
)
def test_written_out_norms(
    form: str, axes: tuple[int, ...], height: int, width: int, batch: int, epsilon: float, opset: int
) -> None:
    """x minus its mean, over the root of the mean square of that, in the three ways in which exporters divide."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=list(axes)),
        helper.make_node("Sub", ["x", "m"], ["c"]),
        helper.make_node("Mul", ["c", "c"], ["q"]),
        helper.make_node("ReduceMean", ["q"], ["v"], axes=list(axes)),
        helper.make_node("Add", ["v", "e"], ["s"]),
    ]
    if form == "power":
        nodes += [helper.make_node("Pow", ["s", "h"], ["r"]), helper.make_node("Mul", ["c", "r"], ["y"])]
    elif form == "divide":
        nodes += [helper.make_node("Sqrt", ["s"], ["r"]), helper.make_node("Div", ["c", "r"], ["y"])]
    else:
        nodes += [helper.make_node("Sqrt", ["s"], ["d"]), helper.make_node("Reciprocal", ["d"], ["r"])]
        nodes += [helper.make_node("Mul", ["c", "r"], ["y"])]
    constants = {"e": np.float32(epsilon), "h": np.float32(-0.5)}
    model = model_of(nodes, opset, [batch, 6, height, width], {k: np.asarray(v) for k, v in constants.items()})
    left = {n.op_type for n in rewrite("inverse-root", model).after.graph.node}
    assert not {"Sqrt", "Pow", "Div", "Reciprocal"} & left


@QUICK
@given(
    st.sampled_from(("Flatten", "Transpose")),
    st.integers(2, 12),
    SIZES,
    st.integers(1, 2),
    st.sampled_from((1e-6, 1e-3)),
    st.booleans(),
)
def test_layer_norms_that_others_read(
    move: str, channels: int, size: int, batch: int, epsilon: float, back: bool
) -> None:
    """A norm over the channels whose result is read in its own order too: one Reshape or Transpose stays."""
    dims = [batch, channels, 1, 1] if move == "Flatten" else [batch, channels, size, 3]
    nodes = [
        helper.make_node(move, ["x"], ["t"], **({"perm": [0, 2, 3, 1]} if move == "Transpose" else {})),
        helper.make_node("LayerNormalization", ["t", "s", "b"], ["n"], epsilon=epsilon),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    if back and move == "Transpose":
        nodes.append(helper.make_node("Transpose", ["n"], ["z"], perm=[0, 3, 1, 2]))
    held = [numpy_helper.from_array(v, k) for k, v in gains(channels).items()]
    outputs = [helper.make_tensor_value_info(n.output[0], TensorProto.FLOAT, None) for n in nodes[2:]]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    after = rewrite("norm-explicit", onnx.shape_inference.infer_shapes(model, strict_mode=True)).after
    kinds = [n.op_type for n in after.graph.node]
    assert "LayerNormalization" not in kinds
    assert kinds.count("Reshape") + kinds.count("Transpose") == 1
