"""The forms over taps against the original: cost chooses them, so here they are preferred wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite import choice
from dlarewrite.rewrite.choice import Candidate, Choice
from dlarewrite.rewrite.context import Context
from dlarewrite.testing import Ran, run

FAST = settings(max_examples=25, deadline=None, derandomize=True)
KINDS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def over_taps(name: str, before: onnx.ModelProto, target: str) -> Ran:
    """Run the pass with the form over taps chosen where it is legal."""

    def choose(context: Context, candidates: Sequence[Candidate[Any]], replaced: Iterable[Any] = ()) -> Choice[Any]:
        taken = [c for c in candidates if "taps" in c.name] or list(candidates)
        return Choice(taken[0].form, taken[0].name, taken[0].cost, "")

    # Loaded first: what is imported under the patch would keep it.
    found = discover().find(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "choose", choose)
        return run(found, before, target=target)


def model(
    node: onnx.NodeProto, shape: Sequence[int], kind: int, constants: dict[str, Any], *more: onnx.NodeProto
) -> onnx.ModelProto:
    graph = helper.make_graph(
        [node, *more],
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(value.astype(KINDS[kind]), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


@st.composite
def deconvolutions(draw: st.DrawFn) -> onnx.ModelProto:
    size = [draw(st.integers(1, 6)) for _ in range(2)]
    kernel, strides = ([draw(st.integers(1, top)) for _ in range(2)] for top in (6, 4))
    dilations = [draw(st.integers(1, 2)) for _ in range(2)]
    pads = [draw(st.integers(0, 3)) for _ in range(4)]
    extra = [draw(st.integers(0, s - 1)) for s in strides]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    assume(all(strides[i] * (size[i] - 1) + reach[i] + extra[i] > pads[i] + pads[i + 2] for i in (0, 1)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    constants = {"w": rng.standard_normal((3, 4, *kernel)), "b": rng.standard_normal(4)}
    attrs = {"strides": strides, "dilations": dilations, "pads": pads, "output_padding": extra}
    node = helper.make_node("ConvTranspose", ["x", *constants], ["y"], **attrs)
    shape = [draw(st.integers(1, 2)), 3, *size]
    return model(node, shape, draw(st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT16))), constants)


@FAST
@given(deconvolutions())
def test_overlapping_deconvolutions(before: onnx.ModelProto) -> None:
    over_taps("deconv-overlap", before, "xavier-jp4")


def test_taps_are_preferred() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    before = model(node, (1, 3, 4, 4), TensorProto.FLOAT, {"w": np.ones((3, 4, 4, 4))})
    assert "4 taps" in over_taps("deconv-overlap", before, "xavier-jp4").changes[0].detail


@st.composite
def convolutions(draw: st.DrawFn) -> onnx.ModelProto:
    block, maps = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    size, kernel = [draw(st.integers(5, 8)) for _ in range(2)], [draw(st.integers(1, 3)) for _ in range(2)]
    strides, dilations = ([draw(st.integers(1, 2)) for _ in range(2)] for _ in range(2))
    pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape, channels = (draw(st.integers(1, 2)), 3, *size), maps * block**2
    constants = {"w": rng.standard_normal((channels, 3, *kernel))}
    if draw(st.booleans()):
        constants["b"] = rng.standard_normal(channels) if draw(st.booleans()) else np.full(channels, 0.5)
    first = helper.make_node("Conv", ["x", *constants], ["m"], strides=strides, dilations=dilations, pads=pads)
    mode = draw(st.sampled_from(("CRD", "DCR")))
    last = helper.make_node("DepthToSpace", ["m"], ["y"], blocksize=block, mode=mode)
    return model(first, shape, draw(st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT16))), constants, last)


@FAST
@given(convolutions(), st.sampled_from(("orin-jp6", "xavier-jp4")))
def test_convolutions_before_depth_to_space(before: onnx.ModelProto, target: str) -> None:
    ran = over_taps("depth-to-space", before, target)
    assert "DepthToSpace" not in {n.op_type for n in ran.after.graph.node}
