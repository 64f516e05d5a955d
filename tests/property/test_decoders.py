"""Products whose maps are pixels, as generators and decoders begin: gemm-to-conv over random shapes and layouts."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import run

FAST = settings(max_examples=25, deadline=None, derandomize=True)
BETWEEN = ("Relu", "LeakyRelu", "Add", "Mul", "PRelu", "Sub")


@FAST
@given(
    batch=st.integers(1, 2),
    inner=st.integers(1, 7),
    image=st.tuples(st.integers(2, 5), st.integers(1, 6), st.integers(1, 6)).filter(lambda i: i[1] * i[2] > 1),
    last=st.booleans(),
    line=st.booleans(),
    bias=st.sampled_from(("none", "pixel", "channel")),
    between=st.lists(st.sampled_from(BETWEEN), max_size=3),
    after=st.booleans(),
    opset=st.sampled_from((11, 13, 18)),
    flipped=st.booleans(),
    half=st.booleans(),
)
def test_products_become_images(
    batch: int,
    inner: int,
    image: tuple[int, int, int],
    last: bool,
    line: bool,
    bias: str,
    between: list[str],
    after: bool,
    opset: int,
    flipped: bool,
    half: bool,
) -> None:
    channels, height, width = image if not line else (image[0], 1, image[1] * image[2])
    kind = np.float16 if half else np.float32
    rng = np.random.default_rng(inner)
    maps = channels * height * width
    matrix = rng.standard_normal((inner, maps)).astype(kind)
    held = {"m": matrix.T.copy() if flipped else matrix, "w": rng.standard_normal((2, channels, 1, 1)).astype(kind)}
    space = [width] if line else [height, width]
    held["form"] = np.asarray([batch, *space, channels] if last else [batch, channels, *space])
    if line:
        held["w"] = held["w"][..., 0]
    offset = rng.standard_normal(maps).astype(kind)
    if bias == "channel":
        by_channel = rng.standard_normal(channels).astype(kind)
        offset = np.tile(by_channel, height * width) if last else by_channel.repeat(height * width)
    held |= {} if bias == "none" else {"b": offset}
    inputs = ["x", "m"] + (["b"] if bias != "none" else [])
    nodes = [helper.make_node("Gemm", inputs, ["t"], transB=int(flipped), alpha=0.5)]
    x = "t"
    for number, op in enumerate(between):
        held[f"c{number}"] = (rng.random(maps if number % 2 else 1) + 0.5).astype(kind)
        beside = [f"c{number}"] if op in ("Add", "Mul", "PRelu", "Sub") else []
        nodes.append(helper.make_node(op, [x, *beside], [f"e{number}"]))
        x = f"e{number}"
    nodes.append(helper.make_node("Reshape", [x, "form"], ["r"]))
    x = "r"
    if after:
        nodes.append(helper.make_node("Sigmoid", [x], ["s"]))
        x = "s"
    if last:
        perm = [0, 2, 1] if line else [0, 3, 1, 2]
        nodes.append(helper.make_node("Transpose", [x], ["p"], perm=perm))
        x = "p"
    nodes.append(helper.make_node("Conv", [x, "w"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), [batch, inner])],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), None)],
        [numpy_helper.from_array(v, n) for n, v in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    ran = run(discover().find("gemm-to-conv"), onnx.shape_inference.infer_shapes(made, data_prop=True))
    assert sum(n.op_type == "ConvTranspose" for n in ran.after.graph.node) == 1, ran.text
    assert not any(n.op_type in ("Gemm", "Transpose") for n in ran.after.graph.node), ran.text


def test_a_row_that_is_the_output_stays_a_row() -> None:
    """Nothing computes on the image: the last product is a Conv, and its Reshape may be left to the caller."""
    form = numpy_helper.from_array(np.asarray([1, 2, 3, 3]), "form")
    matrix = numpy_helper.from_array(np.ones((4, 18), np.float32), "m")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "m"], ["t"]), helper.make_node("Reshape", ["t", "form"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [form, matrix],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ran = run(discover().find("gemm-to-conv"), onnx.shape_inference.infer_shapes(made, data_prop=True))
    assert [n.op_type for n in ran.after.graph.node if n.op_type.startswith("Conv")] == ["Conv"]
