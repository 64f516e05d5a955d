"""Transposes and Reshapes before Convs of the whole map, over random shapes."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import run


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    dims=st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    perm=st.permutations((1, 2, 3)),
    reshaped=st.booleans(),
    maps=st.integers(1, 4),
    biased=st.booleans(),
    opset=st.sampled_from((9, 13, 18)),
    half=st.booleans(),
)
def test_moves_before_whole_maps(
    dims: tuple[int, int, int, int],
    perm: list[int],
    reshaped: bool,
    maps: int,
    biased: bool,
    opset: int,
    half: bool,
) -> None:
    kind = np.float16 if half else np.float32
    after = [dims[0], *(dims[p] for p in perm)]
    rng = np.random.default_rng(sum(dims))
    held = {"w": rng.standard_normal((maps, *after[1:])).astype(kind), "b": rng.standard_normal(maps).astype(kind)}
    if reshaped:
        held["form"] = np.asarray(after)
        mover = helper.make_node("Reshape", ["x", "form"], ["t"])
    else:
        mover = helper.make_node("Transpose", ["x"], ["t"], perm=[0, *perm])
    tensor = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        [mover, helper.make_node("Conv", ["t", "w", "b"] if biased else ["t", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", tensor, dims)],
        [helper.make_tensor_value_info("y", tensor, None)],
        [numpy_helper.from_array(v, n) for n, v in held.items() if n != "b" or biased],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    ran = run(discover().find("move-into-conv"), onnx.shape_inference.infer_shapes(made, data_prop=True))
    same = list(dims) == after if reshaped else perm == [1, 2, 3]
    assert [n.op_type for n in ran.after.graph.node] == ["Conv"] or same, ran.text
