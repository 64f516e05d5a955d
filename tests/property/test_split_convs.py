"""Convs on the parts of a Split that are joined again, over random windows."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import run

KINDS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


@st.composite
def splits(draw: st.DrawFn) -> onnx.ModelProto:
    kind, per = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from(((1, 1), (1, 2), (2, 1), (2, 3))))
    groups = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    strides = [draw(st.integers(1, 2)) for _ in range(2)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    constants: dict[str, Any] = {"s": np.asarray([g * per[0] for g in groups])}
    parts = [f"p{i}" for i in range(len(groups))]
    nodes = [helper.make_node("Split", ["x", "s"], parts, axis=1)]
    joined = []
    for i, group in enumerate(groups):
        if i and per == (1, 1) and strides == [1, 1] and draw(st.booleans()):
            joined.append(parts[i])
            continue
        # An odd reach with half of it for pads keeps the size; one more before and less behind does too.
        kernel, dilations = [draw(st.sampled_from((1, 3, 5))) for _ in range(2)], [draw(st.integers(1, 2))] * 2
        half = [(k - 1) * d // 2 for k, d in zip(kernel, dilations, strict=True)]
        shift = [draw(st.integers(-h, h)) for h in half]
        pads = [h + s for h, s in zip(half, shift, strict=True)] + [h - s for h, s in zip(half, shift, strict=True)]
        constants[f"w{i}"] = rng.standard_normal((group * per[1], per[0], *kernel)).astype(KINDS[kind])
        inputs = [parts[i], f"w{i}"]
        if draw(st.booleans()):
            constants[f"b{i}"] = rng.standard_normal(group * per[1]).astype(KINDS[kind])
            inputs.append(f"b{i}")
        attrs = {"group": group, "strides": strides, "dilations": dilations, "pads": pads}
        nodes.append(helper.make_node("Conv", inputs, [f"c{i}"], **attrs))
        joined.append(f"c{i}")
    nodes.append(helper.make_node("Concat", joined, ["y"], axis=1))
    source = helper.make_tensor_value_info("x", kind, [draw(st.integers(1, 2)), int(constants["s"].sum()), 11, 12])
    target = helper.make_tensor_value_info("y", kind, None)
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [source], [target], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(splits())
def test_split_convs_keep_the_function(before: onnx.ModelProto) -> None:
    ran = run(discover().find("split-convs"), before, target="xavier-jp4")
    assert [n.op_type for n in ran.after.graph.node] == ["Conv"]
