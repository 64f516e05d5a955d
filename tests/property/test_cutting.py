"""Choices of channels worked up into what makes them, against the original: preferred here, where else cost chooses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite import choice
from dlarewrite.rewrite.choice import Candidate, Choice
from dlarewrite.rewrite.context import Context
from dlarewrite.target import Precision
from dlarewrite.testing import run

KINDS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}
STEPS = ("depthwise", "swish", "scale", "clip", "bias", "MaxPool", "AveragePool", "Relu", "twice")


@st.composite
def choices(draw: st.DrawFn) -> onnx.ModelProto:
    """A Conv, operators that work channel by channel, and one to three choices among their channels."""
    kind, opset = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from((11, 13, 18)))
    channels, rng = draw(st.integers(3, 8)), np.random.default_rng(draw(st.integers(0, 99)))
    constants: dict[str, Any] = {"w": rng.standard_normal((channels, 3, 2, 2)), "b": rng.standard_normal(channels)}
    nodes = [helper.make_node("Conv", ["x", "w", "b"][: draw(st.integers(2, 3))], ["t0"], pads=[1, 0, 0, 1])]
    last = "t0"
    for index, step in enumerate(draw(st.lists(st.sampled_from(STEPS), max_size=4)), 1):
        made, extra = f"t{index}", f"k{index}"
        if step == "depthwise":
            constants[extra] = rng.standard_normal((channels, 1, 3, 3))
            nodes.append(helper.make_node("Conv", [last, extra], [made], group=channels, pads=[1] * 4))
        elif step == "swish":
            nodes += [helper.make_node("Sigmoid", [last], [extra]), helper.make_node("Mul", [extra, last], [made])]
        elif step in ("scale", "bias"):
            forms = ((channels, 1, 1), (1, channels, 1, 1), (1,), (), (1, 1, 1, 1))
            constants[extra] = rng.standard_normal(draw(st.sampled_from(forms)))
            order = [extra, last] if draw(st.booleans()) else [last, extra]
            nodes.append(helper.make_node("Mul" if step == "scale" else "Sub", order, [made]))
        elif step == "clip":
            constants |= {"low": np.asarray(0.0), "high": np.asarray(1.0 + index)}
            nodes.append(helper.make_node("Clip", [last, "low", "high"], [made]))
        elif step == "twice":
            nodes.append(helper.make_node("Add", [last, last], [made]))
        else:
            window = {} if step == "Relu" else {"kernel_shape": [2, 2], "strides": [1, 1]}
            nodes.append(helper.make_node(step, [last], [made], **window))
        last = made
    weights = {name: numpy_helper.from_array(np.asarray(v, dtype=KINDS[kind]), name) for name, v in constants.items()}
    outputs = []
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=channels))
        weights[f"i{number}"] = numpy_helper.from_array(np.asarray(rows), f"i{number}")
        nodes.append(helper.make_node("Gather", [last, f"i{number}"], [f"y{number}"], axis=1))
        outputs.append(helper.make_tensor_value_info(f"y{number}", kind, None))
    source = helper.make_tensor_value_info("x", kind, [draw(st.integers(1, 2)), 3, 7, 9])
    graph = helper.make_graph(nodes, "g", [source], outputs, list(weights.values()))
    made_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made_model, data_prop=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(choices(), st.sampled_from(("orin-jp6", "xavier-jp4")), st.sampled_from(Precision))
def test_cut_channels(before: onnx.ModelProto, target: str, precision: Precision) -> None:
    preferred = []

    def choose(context: Context, candidates: Sequence[Candidate[Any]], replaced: Iterable[Any] = ()) -> Choice[Any]:
        taken = min(candidates, key=lambda c: (c.cost.refused, "cut" not in c.name))
        preferred.append(taken.name)
        return Choice(taken.form, taken.name, taken.cost, "")

    # Loaded first: what is imported under the patch would keep it.
    found = discover().find("channel-select")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "choose", choose)
        ran = run(found, before, target=target, precision=precision)
    assert "Gather" not in {n.op_type for n in ran.after.graph.node}
    if precision is Precision.FP16 and {n.op_type for n in before.graph.node} <= {"Conv", "Relu", "Clip", "Gather"}:
        assert any("cut" in name for name in preferred)
