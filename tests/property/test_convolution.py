"""Convolution passes over random windows: same numbers in onnxruntime, and what is left is what the target takes."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.rewrite.spec import create
from dlarewrite.target import Precision
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
KINDS = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16))


def convolution(
    name: str,
    data: tuple[int, ...],
    weights: tuple[int, ...],
    *,
    kind: int = TensorProto.FLOAT,
    bias: bool = True,
    shared: bool = False,
    precision: Precision = Precision.FP16,
    opset: int = 17,
    **attrs: Any,
) -> Ran:
    """The pass run on one Conv, or on two that share their weights.

    Values are compared whenever it changed something.
    """
    rng = np.random.default_rng([*data, *weights])
    held = helper.tensor_dtype_to_np_dtype(kind)
    constants = {
        "w": (rng.standard_normal(weights) / np.sqrt(np.prod(weights[1:]))).astype(held),
        "b": rng.standard_normal(weights[0]).astype(held),
    }
    inputs = ["w", "b"] if bias else ["w"]
    nodes = [helper.make_node("Conv", ["x", *inputs], ["y"], **attrs)]
    if shared:
        nodes += [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Conv", ["r", *inputs], ["z"], **attrs)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, data)],
        [helper.make_tensor_value_info(n, kind, None) for n in (("y", "z") if shared else ("y",))],
        [numpy_helper.from_array(value, n) for n, value in constants.items() if n in inputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return run(discover().find(name), model, precision=precision)


def kernels(result: Ran) -> list[tuple[int, ...]]:
    """The kernel sizes of all Convs that are left."""
    sizes = {t.name: tuple(t.dims[2:]) for t in result.after.graph.initializer}
    return [sizes[n.input[1]] for n in result.after.graph.node if n.op_type == "Conv"]


def attributes(result: Ran, name: str) -> list[int]:
    """The values of an integer-list attribute over all Convs."""
    found = [a for n in result.after.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == name]
    return [v for a in found for v in a.ints]


@QUICK
@given(
    kernel=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    extra=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.lists(st.integers(0, 31), min_size=4, max_size=4),
    group=st.sampled_from((1, 2)),
    shared=st.booleans(),
    kind=KINDS,
)
def test_conv_kernel(
    kernel: tuple[int, int],
    extra: tuple[int, int],
    strides: tuple[int, int],
    pads: list[int],
    group: int,
    shared: bool,
    kind: int,
) -> None:
    data = (1, 2, kernel[0] + extra[0], kernel[1] + extra[1])
    pads = [min(p, k - 1) for p, k in zip(pads, kernel * 2, strict=True)]
    result = convolution(
        "conv-kernel",
        data,
        (4, 2 // group, *kernel),
        kind=kind,
        shared=shared,
        strides=strides,
        pads=pads,
        group=group,
    )
    assert bool(result.changes) == (max(kernel) > 32)
    assert max(max(k) for k in kernels(result)) <= 32


@QUICK
@given(
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.sampled_from((1, 2, 33, 40)), st.sampled_from((1, 33))),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    bias=st.booleans(),
)
def test_conv_dilation(
    size: tuple[int, int], kernel: tuple[int, int], dilation: tuple[int, int], strides: tuple[int, int], bias: bool
) -> None:
    pads = [(k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True)] * 2
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(all(n + 2 * p >= r for n, p, r in zip(size, pads, reach, strict=False)))
    result = convolution(
        "conv-dilation", (1, 3, *size), (2, 3, *kernel), bias=bias, dilations=dilation, strides=strides, pads=pads
    )
    if any("nothing but padding" in reason for reason in result.reasons):
        return
    assert bool(result.changes) == (max(dilation) > 32)
    assert max(attributes(result, "dilations")) <= 32


@QUICK
@given(
    size=st.tuples(st.integers(4, 20), st.integers(4, 20)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.lists(st.integers(0, 40), min_size=4, max_size=4),
    group=st.sampled_from((1, 4)),
    kind=KINDS,
)
def test_conv_pads(
    size: tuple[int, int],
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    strides: tuple[int, int],
    pads: list[int],
    group: int,
    kind: int,
) -> None:
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(all(n + pads[i] + pads[i + 2] >= r for i, (n, r) in enumerate(zip(size, reach, strict=True))))
    result = convolution(
        "conv-pads",
        (1, 4, *size),
        (4, 4 // group, *kernel),
        kind=kind,
        dilations=dilation,
        strides=strides,
        pads=pads,
        group=group,
    )
    too_wide = any(p > 31 or p >= k for p, k in zip(pads, kernel * 2, strict=True))
    assert bool(result.changes) == too_wide
    assert max(attributes(result, "pads")) <= 31


@QUICK
@given(
    kernel=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    strides=st.tuples(st.sampled_from((1, 4, 9, 16)), st.sampled_from((10, 12, 14, 32))),
    count=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    over=st.integers(0, 3),
)
def test_conv_stride(
    kernel: tuple[int, int], strides: tuple[int, int], count: tuple[int, int], pads: list[int], over: int
) -> None:
    pads = [min(p, k - 1) for p, k in zip(pads, kernel * 2, strict=True)]
    size = [
        (n - 1) * s + k - pads[i] - pads[i + 2] + over
        for i, (n, s, k) in enumerate(zip(count, strides, kernel, strict=True))
    ]
    assume(min(size) > 0)
    result = convolution("conv-stride", (1, 2, *size), (3, 2, *kernel), strides=strides, pads=pads)
    assert result.changes
    assert max(attributes(result, "strides")) <= 8


@QUICK
@given(
    channels=st.integers(300, 700),
    size=st.tuples(st.integers(3, 12), st.integers(60, 200)),
    kernel=st.integers(1, 4),
    dilation=st.integers(1, 5),
    strides=st.integers(1, 2),
    shared=st.booleans(),
    precision=st.sampled_from(tuple(Precision)),
)
def test_conv_cbuf(
    channels: int,
    size: tuple[int, int],
    kernel: int,
    dilation: int,
    strides: int,
    shared: bool,
    precision: Precision,
) -> None:
    pad = (kernel - 1) * dilation // 2
    assume(size[0] + 2 * pad >= (kernel - 1) * dilation + 1)
    result = convolution(
        "conv-cbuf",
        (1, channels, *size),
        (2, channels, kernel, kernel),
        shared=shared,
        precision=precision,
        dilations=[dilation] * 2,
        strides=[strides] * 2,
        pads=[pad] * 4,
    )
    data_bytes = channels * (2 if precision is Precision.FP16 else 1)
    entries = -(-(-(-data_bytes // 32) * size[1]) // 4) * ((kernel - 1) * dilation + 1)
    banks = -(-data_bytes * kernel * kernel // 32768) - (-entries // 256)
    if banks > 16:
        assert result.changes or any("parts" in r for r in result.reasons)
    if banks < 8:
        assert not result.changes


@QUICK
@given(
    group=st.sampled_from((2, 3, 4, 6, 8)),
    each=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.integers(1, 3),
    kind=KINDS,
)
def test_conv_groups_dense(group: int, each: tuple[int, int], kernel: int, kind: int) -> None:
    result = convolution(
        "conv-groups-dense",
        (1, group * each[0], 5, 5),
        (group * each[1], each[0], kernel, kernel),
        kind=kind,
        precision=Precision.INT8,
        group=group,
    )
    depthwise = each[0] == 1
    fits = each[0] % 4 == 0 and each[1] % 4 == 0
    curable = (group * each[0]) % 4 == 0 and (group * each[1]) % 4 == 0
    assert bool(result.changes) == (not depthwise and not fits) or not curable or bool(result.reasons)


@QUICK
@given(over=st.integers(1, 9000), kernel=st.integers(1, 2), bias=st.booleans())
def test_conv_maps(over: int, kernel: int, bias: bool) -> None:
    result = convolution("conv-maps", (1, 1, 2, 2), (8192 + over, 1, kernel, kernel), bias=bias)
    assert result.changes
    assert max(t.dims[0] for t in result.after.graph.initializer) <= 8192


@QUICK
@given(
    channels=st.sampled_from((1, 2, 4)),
    depth=st.integers(1, 5),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
    group=st.sampled_from((1, 2)),
    tail=st.sampled_from(
        (
            "MaxPool",
            "AveragePool",
            "GlobalAveragePool",
            "BatchNormalization",
            "Add",
            "Flatten",
            "Concat",
            "Deeper",
            "ReduceMean",
        )
    ),
)
def test_conv3d(
    channels: int,
    depth: int,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    group: int,
    tail: str,
) -> None:
    group = min(group, channels)
    pads = tuple(min(p, k - 1) for p, k in zip(pads, kernel, strict=True))
    size = (depth, 5, 6)
    assume(all(n + 2 * p >= k for n, p, k in zip(size, pads, kernel, strict=True)))
    rng = np.random.default_rng([channels, depth, *kernel])
    constants = {
        "w": rng.standard_normal((4, channels // group, *kernel)).astype(np.float32),
        "s": rng.standard_normal(4).astype(np.float32),
        "v": np.ones(4, np.float32),
    }
    attrs = {"strides": strides, "pads": [*pads, *pads], "group": group}
    nodes = [
        helper.make_node("Conv", ["x", "w", "s"], ["c"], **attrs),
        helper.make_node("Relu", ["c"], ["r"]),
        {
            "MaxPool": helper.make_node("MaxPool", ["r"], ["y"], kernel_shape=[2, 1, 1], pads=[1, 0, 0, 0, 0, 0]),
            "AveragePool": helper.make_node("AveragePool", ["r"], ["y"], kernel_shape=[1, 2, 2]),
            "GlobalAveragePool": helper.make_node("GlobalAveragePool", ["r"], ["y"]),
            "BatchNormalization": helper.make_node("BatchNormalization", ["r", "s", "s", "s", "v"], ["y"]),
            "Add": helper.make_node("Add", ["r", "c"], ["y"]),
            "Flatten": helper.make_node("Flatten", ["r"], ["y"]),
            "Concat": helper.make_node("Concat", ["r", "c", "r"], ["y"], axis=1),
            "Deeper": helper.make_node("Concat", ["r", "c"], ["y"], axis=-3),
            "ReduceMean": helper.make_node("ReduceMean", ["r"], ["y"], axes=[-1, 2, 3], keepdims=0),
        }[tail],
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, channels, *size))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except onnx.shape_inference.InferenceError:
        assume(False)
    result = run(discover().find("conv3d"), model)
    reads_padding_only = any("taken apart" in reason for reason in result.reasons)
    assert result.changes or reads_padding_only
    assert reads_padding_only or all(len(k) == 2 for k in kernels(result))


@QUICK
@given(
    st.sampled_from((1, 2, 4)),
    st.integers(2, 9),
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.sampled_from((1, 2, 4)),
    st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT16)),
    st.booleans(),
    st.sampled_from((3, 512)),
    st.booleans(),
)
def test_conv1d_channels(
    channels: int,
    length: int,
    batch: int,
    form: tuple[int, int, int],
    pads: tuple[int, int],
    group: int,
    kind: int,
    bias: bool,
    rows: int,
    returned: bool,
) -> None:
    """The channels of [N, C, 1, 1] as any [N, c, l] under any Conv of rank 3: 1x1 Convs and one Reshape.

    With ``returned``, as [N, c, 1, l] and back again: 1x1 Convs.
    """
    kernel, stride, dilation = form
    group = min(group, channels)
    assume(sum(pads) + length > (kernel - 1) * dilation and max(pads) < kernel)
    real = helper.tensor_dtype_to_np_dtype(kind)
    rng = np.random.default_rng(length)
    held = {
        "s": np.array([batch, channels, length]),
        "w": rng.standard_normal((2 * channels, channels // group, kernel)).astype(real),
    }
    if bias:
        held["b"] = rng.standard_normal(2 * channels).astype(real)
    attrs = {"group": group, "strides": [stride], "dilations": [dilation], "pads": list(pads)}
    if returned:
        held |= {
            "s": np.array([batch, channels, 1, length]),
            "w": held["w"][:, :, None],
            "back": np.array([batch, -1, 1, 1]),
        }
        attrs |= {"strides": [1, stride], "dilations": [1, dilation], "pads": [0, pads[0], 0, pads[1]]}
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["r"]),
        helper.make_node("Conv", ["r", "w", *(["b"] if bias else [])], ["c" if returned else "y"], **attrs),
        *([helper.make_node("Reshape", ["c", "back"], ["y"])] if returned else []),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, channels * length, 1, 1])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(v, k) for k, v in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    result = run(create(discover().find("conv1d-channels"), f"max_rows={rows}"), model)
    assert len(result.changes) == 1, result.reasons
    kinds = [n.op_type for n in result.after.graph.node]
    assert set(kinds) <= {"Slice", "Conv", "Concat", "Reshape"}
    assert kinds.count("Reshape") == int(not returned)
    assert all(kernel == (1, 1) for kernel in kernels(result))
