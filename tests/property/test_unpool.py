"""Unpooling by a MaxPool's indices: bit-identical over random windows, with ties and with near values."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite.context import Settings
from dlarewrite.testing import Ran, run


def rewritten(dims: list[int], side: int) -> Ran:
    window = {"kernel_shape": [side, side], "strides": [side, side]}
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p", "i"], **window),
        helper.make_node("Neg", ["p"], ["v"]),
        helper.make_node("MaxUnpool", ["v", "i"], ["y"], **window),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    ran = run(discover().find("unpool"), model, settings=Settings(growth_macs=1000.0))
    assert len(ran.changes) == 1, ran.reasons
    return ran


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(1, 2), st.integers(1, 3), st.integers(2, 4), st.integers(1, 4), st.integers(1, 4))
def test_random_windows(batch: int, channels: int, side: int, height: int, width: int) -> None:
    ran = rewritten([batch, channels, height * side, width * side], side)
    assert {"MaxUnpool"}.isdisjoint(n.op_type for n in ran.after.graph.node)
    assert all(len(n.output) == 1 for n in ran.after.graph.node)


@pytest.mark.parametrize("kind", ("ties", "near", "tiny", "huge"))
def test_the_first_maximum_is_found(kind: str) -> None:
    """Of equal elements the first; of neighbouring floats, of 1e-30 and of 1e30, the larger."""
    ran = rewritten([1, 3, 32, 32], 2)
    random = np.random.default_rng(5)
    x = random.standard_normal((1, 3, 32, 32)).astype(np.float32)
    if kind == "ties":
        x = np.round(x)
    elif kind == "near":
        x = np.where(x > 0, np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0)))
    else:
        x = x * np.float32(1e-30 if kind == "tiny" else 1e30)
    before, after = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (ran.before, ran.after)
    )
    assert np.array_equal(before, after)
