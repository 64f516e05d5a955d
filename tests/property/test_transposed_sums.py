"""Reductions between Transposes: sums are moved as ROUNDING, never as EXACT, and mean what they meant."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import run

FAST = settings(max_examples=25, deadline=None, derandomize=True)
SUMS = ("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")


def model(op: str, dims: tuple[int, ...], axes: tuple[int, ...], keep: bool, opset: int, skip: bool) -> onnx.ModelProto:
    """Transpose to channels last, Relu, the reduction, and a Transpose (or Reshape) back."""
    attrs: dict[str, object] = {"keepdims": int(keep)}
    constants = []
    as_input = opset >= 18 or (opset >= 13 and op == "ReduceSum")
    if as_input:
        constants.append(numpy_helper.from_array(np.asarray(axes, np.int64), "axes"))
        attrs |= {"noop_with_empty_axes": 1} if skip else {}
    else:
        attrs["axes"] = list(axes)
    left = [d for i, d in enumerate((dims[0], *dims[2:], dims[1])) if i not in [a % 4 for a in axes]]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node(op, ["r", "axes"] if as_input else ["r"], ["s"], **attrs),
    ]
    if keep:
        nodes.append(helper.make_node("Transpose", ["s"], ["y"], perm=[0, 3, 1, 2]))
    else:
        constants.append(numpy_helper.from_array(np.asarray([*left, *[1] * (4 - len(left))], np.int64), "form"))
        nodes.append(helper.make_node("Reshape", ["s", "form"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


@FAST
@given(
    op=st.sampled_from(SUMS),
    dims=st.tuples(st.integers(1, 2), st.integers(2, 9), st.integers(2, 17), st.integers(2, 17)),
    axes=st.sampled_from(((1, 2), (-3, -2), (1,), (2,), (3,), (-1,), (1, 2, 3), (2, 3))),
    keep=st.booleans(),
    opset=st.sampled_from((11, 13, 18)),
    skip=st.booleans(),
)
def test_sums_between_transposes(
    op: str, dims: tuple[int, ...], axes: tuple[int, ...], keep: bool, opset: int, skip: bool
) -> None:
    before = model(op, dims, axes, keep, opset, skip)
    exact = run(discover().find("transpose-sink"), before)
    assert all(n.input[0] != "x" for n in exact.after.graph.node if n.op_type == op), exact.text
    ran = run(discover().find("transpose-sums"), before)
    assert ran.changes or not keep, ran.text


@pytest.mark.parametrize("op", ("ReduceMax", "ReduceMin"))
@pytest.mark.parametrize("skip", (False, True))
def test_extremes_are_moved_exactly(op: str, skip: bool) -> None:
    ran = run(discover().find("transpose-sink"), model(op, (1, 5, 6, 7), (1, 2), True, 18, skip))
    assert [n.op_type for n in ran.after.graph.node] == ["Relu", op]
    assert not [a for a in ran.after.graph.node[1].attribute if a.name == "noop_with_empty_axes" and a.i]
