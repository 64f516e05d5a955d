"""Normalizations that are written out, over random layouts, groups and ways to write them."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.testing import run

FAST = settings(max_examples=25, deadline=None, derandomize=True)


class Writer:
    """Nodes and constants of one graph over ``x``."""

    def __init__(self, kind: np.dtype[Any], opset: int) -> None:
        self.kind, self.opset = np.dtype(kind), opset
        self.nodes: list[onnx.NodeProto] = []
        self.held: list[onnx.TensorProto] = []

    def constant(self, values: Any, kind: Any = None) -> str:
        name = f"c{len(self.held)}"
        self.held.append(numpy_helper.from_array(np.asarray(values, kind or self.kind), name))
        return name

    def op(self, op: str, *inputs: str, **attrs: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attrs))
        return name

    def mean(self, x: str, axes: list[int]) -> str:
        if self.opset >= 18:
            return self.op("ReduceMean", x, self.constant(axes, np.int64))
        return self.op("ReduceMean", x, axes=axes)

    def model(self, dims: tuple[int, ...], last: str) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [last], ["y"]))
        tensor = helper.np_dtype_to_tensor_dtype(self.kind)
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", tensor, dims)],
            [helper.make_tensor_value_info("y", tensor, None)],
            self.held,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made, data_prop=True)


def written(
    writer: Writer,
    x: str,
    form: tuple[int, ...],
    axes: list[int],
    scale: tuple[int, ...],
    way: str,
    affine: bool,
    square: str,
) -> str:
    """A normalization of a tensor of shape ``form`` over axes, its gain and bias of shape ``scale``."""
    rng = np.random.default_rng(sum(form))
    gain, bias = (writer.constant(rng.standard_normal(scale)) for _ in range(2))
    mean = writer.mean(x, axes)
    centred = writer.op("Sub", x, mean)
    squared = writer.op("Mul", centred, centred) if square == "Mul" else writer.op("Pow", centred, writer.constant(2.0))
    added = writer.op("Add", writer.mean(squared, axes), writer.constant(1e-3))
    if way == "power":
        inverse = writer.op("Pow", added, writer.constant(-0.5))
    else:
        deviation = writer.op("Sqrt", added)
        if way == "divide":
            quotient = writer.op("Div", centred, deviation)
            return writer.op("Add", writer.op("Mul", quotient, gain), bias) if affine else quotient
        inverse = writer.op("Reciprocal", deviation)
    factor = writer.op("Mul", inverse, gain) if affine else inverse
    if way == "centred":
        result = writer.op("Mul", factor, centred)
        return writer.op("Add", bias, result) if affine else result
    shift = writer.op("Mul", writer.op("Neg", mean), factor)
    shift = writer.op("Add", shift, bias) if affine else shift
    return writer.op("Add", writer.op("Mul", x, factor), shift)


@FAST
@given(
    batch=st.integers(1, 2),
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    plane=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    last=st.booleans(),
    kind=st.sampled_from(("groups", "instance", "pixel")),
    way=st.sampled_from(("divide", "spread", "centred", "power")),
    affine=st.booleans(),
    square=st.sampled_from(("Mul", "Pow")),
    opset=st.sampled_from((11, 13, 18)),
)
def test_written_norms(
    batch: int,
    groups: int,
    inner: int,
    plane: tuple[int, int],
    last: bool,
    kind: str,
    way: str,
    affine: bool,
    square: str,
    opset: int,
) -> None:
    channels = groups * inner + (kind == "pixel")
    dims = (batch, channels, *plane)
    writer = Writer(np.dtype(np.float32), opset)
    x, form, channel = "x", dims, 1
    if last:
        x, form, channel = writer.op("Transpose", x, perm=[0, 2, 3, 1]), (batch, *plane, channels), 3
    flat = tuple(n if i == channel else 1 for i, n in enumerate(form))
    space = [1, 2] if last else [2, 3]
    if kind == "groups":
        apart = (*form[:channel], groups, inner, *form[channel + 1 :])
        parts = (*flat[:channel], groups, inner, *flat[channel + 1 :])
        v = writer.op("Reshape", x, writer.constant(apart, np.int64))
        axes = [1, 2, 4] if last else [2, 3, 4]
        made = written(writer, v, apart, axes, parts, way, affine, square)
        y = writer.op("Reshape", made, writer.constant(form, np.int64))
    else:
        y = written(writer, x, form, space if kind == "instance" else [channel], flat, way, affine, square)
    if last:
        y = writer.op("Transpose", y, perm=[0, 3, 1, 2])
    ran = run(discover().find("norm-written"), writer.model(dims, y))
    left = {n.op_type for n in ran.after.graph.node} & {"ReduceMean", "Sqrt", "Pow", "Div", "Reciprocal"}
    assert not left, ran.text


@pytest.mark.parametrize("scale", [(1, 1, 6, 5), (5,), (6, 1)])
@pytest.mark.parametrize("way", ["centred", "spread", "power"])
def test_a_gain_that_differs_within_a_channel_stays(scale: tuple[int, ...], way: str) -> None:
    writer = Writer(np.dtype(np.float32), 13)
    y = written(writer, "x", (1, 4, 6, 5), [2, 3], scale, way, True, "Mul")
    assert not run(discover().find("norm-written"), writer.model((1, 4, 6, 5), y)).changes


@pytest.mark.parametrize("first", [[3], [2], [1, 2], [1]])
def test_a_mean_of_other_elements_stays(first: list[int]) -> None:
    writer = Writer(np.dtype(np.float32), 13)
    centred = writer.op("Sub", "x", writer.mean("x", first))
    added = writer.op("Add", writer.mean(writer.op("Mul", centred, centred), [2, 3]), writer.constant(1e-3))
    y = writer.op("Div", centred, writer.op("Sqrt", added))
    assert not run(discover().find("norm-written"), writer.model((1, 4, 6, 5), y)).changes
