"""Shuffles behind Convs, lines that are turned, channels laid out in parts: the same numbers over random attributes."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=20, deadline=None, derandomize=True)
KINDS = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16))


def ran(
    name: str,
    nodes: list[onnx.NodeProto],
    form: tuple[int, ...],
    constants: dict[str, np.ndarray[Any, Any]],
    outputs: tuple[str, ...] = ("y",),
    kind: int = TensorProto.FLOAT,
) -> Ran:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, form)],
        [helper.make_tensor_value_info(n, kind, None) for n in outputs],
        [numpy_helper.from_array(value, n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run(discover().find(name), onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


@QUICK
@given(
    groups=st.sampled_from((1, 2, 4)),
    shuffle=st.sampled_from(((2, 8), (4, 4), (8, 2))),
    size=st.sampled_from((1, 3)),
    middle=st.sampled_from(("", "Relu", "Sigmoid")),
    bias=st.booleans(),
    elsewhere=st.booleans(),
)
def test_shuffles_behind_convs(
    groups: int, shuffle: tuple[int, int], size: int, middle: str, bias: bool, elsewhere: bool
) -> None:
    """Read by depthwise Convs that are added to what the shuffle leaves: the order cannot be handed on to weights."""
    rng = np.random.default_rng(groups)
    constants: dict[str, np.ndarray[Any, Any]] = {
        "w": rng.standard_normal((16, 16 // groups, size, size)).astype(np.float32),
        "b": rng.standard_normal(16).astype(np.float32),
        "d": rng.standard_normal((16, 1, 3, 3)).astype(np.float32),
        "i": np.asarray((1, *shuffle, 9, 9)),
        "o": np.asarray((1, 16, 9, 9)),
    }
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [helper.make_node("Conv", inputs, ["c"], group=groups, pads=[size // 2] * 4)]
    nodes += [helper.make_node(middle, ["c"], ["m"])] if middle else []
    nodes += [
        helper.make_node("Reshape", ["m" if middle else "c", "i"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "o"], ["s"]),
        helper.make_node("Conv", ["s", "d"], ["e"], group=16, pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["e", "s"], ["y"]),
    ]
    result = ran("channel-shuffle", nodes, (1, 16, 9, 9), constants, ("y", "c") if elsewhere else ("y",))
    assert result.changes
    assert "Transpose" not in {n.op_type for n in result.after.graph.node}
    convs = [n for n in result.after.graph.node if n.op_type == "Conv"]
    if groups == 1 and not elsewhere:
        assert len(convs) == 2


@QUICK
@given(batch=st.integers(1, 2), channels=st.integers(1, 3), size=st.integers(2, 80), row=st.booleans(), kind=KINDS)
def test_lines(batch: int, channels: int, size: int, row: bool, kind: int) -> None:
    form = (batch, channels, 1, size) if row else (batch, channels, size, 1)
    nodes = [helper.make_node("Transpose", ["x"], ["y"], perm=[0, 1, 3, 2])]
    result = ran("transpose-line", nodes, form, {}, kind=kind)
    assert result.changes
    assert "Transpose" not in {n.op_type for n in result.after.graph.node}


@QUICK
@given(channels=st.sampled_from((8, 12, 16, 24)), block=st.integers(2, 3), side=st.integers(24, 40), kind=KINDS)
def test_depth_to_space_of_many_channels(channels: int, block: int, side: int, kind: int) -> None:
    nodes = [helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=block, mode="CRD")]
    result = ran("depth-to-space", nodes, (1, channels * block * block, side, side), {}, kind=kind)
    assert result.changes
    assert "DepthToSpace" not in {n.op_type for n in result.after.graph.node}
