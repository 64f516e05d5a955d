"""Resampling rewrites over random attributes: the tables against onnxruntime, and every pass against the original."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.ir.model import Model
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite import sampling
from dlarewrite.rewrite.context import Context, Settings
from dlarewrite.target import Precision, load_target
from dlarewrite.testing import assert_equal, run
from dlarewrite.verify import Session, prove

FAST = settings(max_examples=25, deadline=None, derandomize=True)
TARGETS = ("orin-jp6", "xavier-jp4", "xavier-jp5")
DECONV = ("deconv-stride-one", "deconv-pads", "deconv-groups", "deconv-dilation", "deconv-square-23", "deconv-overlap")
RESIZE = (
    "resize-sizes-to-scales",
    "resize-mode",
    "nearest-cascade",
    "nearest-to-deconv",
    "downsample",
    "linear-to-deconv",
    "align-corners-linear",
)
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    constants: dict[str, np.ndarray[Any, Any]],
    opset: int,
    outputs: Sequence[str] = ("y",),
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def resize(
    opset: int, shape: Sequence[int], sizes: Sequence[int] | None, scales: Sequence[float] | None, **attrs: Any
) -> onnx.ModelProto:
    """A Resize or Upsample in the form of its opset, behind a Relu and in front of one."""
    constants: dict[str, np.ndarray[Any, Any]] = {}
    inputs = ["t"]
    if opset < 11:
        attrs = {"mode": attrs["mode"]} | ({"scales": list(scales or ())} if opset < 9 else {})
        if opset >= 9:
            inputs.append("scales")
            constants["scales"] = np.asarray(scales, dtype=np.float32)
    else:
        empty = np.zeros(0, dtype=np.float32)
        constants |= {"roi": empty} if opset < 13 else {}
        inputs.append("roi" if opset < 13 else "")
        if sizes is None:
            constants["scales"] = np.asarray(scales, dtype=np.float32)
            inputs.append("scales")
        else:
            constants |= {"sizes": np.asarray(sizes, dtype=np.int64)} | ({"none": empty} if opset < 13 else {})
            inputs += ["none" if opset < 13 else "", "sizes"]
    nodes = [
        helper.make_node("Relu", ["x"], ["t"]),
        helper.make_node("Upsample" if opset < 10 else "Resize", inputs, ["u"], name="resize", **attrs),
        helper.make_node("Relu", ["u"], ["y"]),
    ]
    return model(nodes, shape, constants, opset)


@st.composite
def resizes(draw: st.DrawFn) -> onnx.ModelProto:
    opset = draw(st.sampled_from((8, 9, 10, 11, 13, 18, 19, 21)))
    shape = [draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 8))]
    mode = draw(st.sampled_from(("nearest", "linear", "linear") + (("cubic",) if opset >= 11 else ())))
    coordinates = draw(st.sampled_from(COORDINATES + (("half_pixel_symmetric",) if opset >= 19 else ())))
    factors = [draw(st.sampled_from((1, 2, 3, 4, 5, 6, 8, 9, 16, 33))), draw(st.sampled_from((1, 2, 3, 4, 8)))]
    if draw(st.booleans()):
        sizes = [*shape[:2], shape[2] * factors[0], shape[3] * factors[1]]
    else:
        sizes = [*shape[:2], draw(st.integers(1, 16)), draw(st.integers(1, 16))]
    scales = [after / before for before, after in zip(shape, sizes, strict=True)]
    exact = all(np.floor(np.float32(n) * np.float32(s)) == m for n, s, m in zip(shape, scales, sizes, strict=True))
    if opset < 11:
        assume(exact and min(scales) >= 1)
    attrs = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": draw(st.sampled_from(ROUNDINGS)),
    }
    if opset >= 18 and mode != "nearest" and draw(st.booleans()):
        attrs["antialias"] = 1
    by_size = opset >= 11 and (not exact or draw(st.booleans()))
    return resize(opset, shape, sizes if by_size else None, None if by_size else scales, **attrs)


@FAST
@given(resizes())
def test_matrices_are_what_onnxruntime_computes(before: onnx.ModelProto) -> None:
    node = next(n for n in Model.load(before).nodes if n.op in ("Resize", "Upsample"))
    found = sampling.read(node, before.opset_import[0].version)
    assert isinstance(found, sampling.Sampling)
    shape = [d.dim_value for d in before.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    (want,) = Session(before).run({"x": x}).values()
    have = x.astype(np.float64)
    for axis in range(4):
        matrix = found.matrix(axis)
        assert matrix is not None
        have = np.moveaxis(np.tensordot(matrix, have, axes=(1, axis)), 0, axis)
    np.testing.assert_allclose(np.maximum(have, 0), want, atol=2e-5)


@pytest.mark.parametrize("name", RESIZE)
@FAST
@given(resizes(), st.sampled_from(TARGETS))
def test_resize_passes_keep_the_function(name: str, before: onnx.ModelProto, target: str) -> None:
    run(discover().find(name), before, target=target)


@FAST
@given(resizes())
def test_resize_family_settles(before: onnx.ModelProto) -> None:
    """One pass after the other: equal at the end, and what enlarges by whole factors is left on the DLA."""
    after = before
    for name in RESIZE:
        after = run(discover().find(name), after).after
    assert_equal(before, after, Numerics.ROUNDING)
    work = Model.load(after)
    context = Context(work, load_target("orin-jp6"))
    shapes = [
        [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (before.graph.input[0], before.graph.output[0])
    ]
    if all(large % small == 0 for small, large in zip(*shapes, strict=True)) and "antialias" not in str(before):
        assert all(context.is_native(n) for n in work.nodes), [n.op for n in work.nodes]


def test_a_wrong_matrix_is_seen() -> None:
    """The negative twin of the comparison by matrix: half a pixel off is not the same table."""
    axis = sampling.Axis(4, 8, 2.0)
    right = sampling.Sampling((axis,), "linear", "half_pixel").matrix(0)
    wrong = sampling.Sampling((axis,), "linear", "asymmetric").matrix(0)
    assert right is not None and wrong is not None
    assert sampling.linear_factor(axis, right) == 2
    assert sampling.linear_factor(axis, wrong) is None
    assert sampling.nearest_factor(axis, right) is None


@pytest.mark.parametrize("factor", range(2, 13))
@pytest.mark.parametrize("target", ["orin-jp6", "xavier-jp4"])
def test_linear_by_every_factor(factor: int, target: str) -> None:
    before = resize(
        13, (1, 2, 3, 2), None, (1, 1, factor, factor), mode="linear", coordinate_transformation_mode="half_pixel"
    )
    ran = run(discover().find("linear-to-deconv"), before, target=target)
    native = factor <= 4 and target == "orin-jp6"
    assert bool(ran.changes) is not native


@st.composite
def deconvolutions(draw: st.DrawFn) -> onnx.ModelProto:
    opset = draw(st.sampled_from((9, 11, 13, 22)))
    group = draw(st.sampled_from((1, 1, 2, 4)))
    channels, maps = group * draw(st.integers(1, 2)), draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 6)), draw(st.integers(1, 6))]
    strides = [draw(st.integers(1, 3)), draw(st.integers(1, 4))]
    dilations = draw(st.sampled_from(([1, 1], [1, 1], [2, 1], [3, 2])))
    if draw(st.integers(0, 9)) == 0:
        group, channels, kernel, dilations = 1, 2, [24, 24], [1, 1]
        strides = draw(st.sampled_from(([24, 24], [8, 8])))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group, "kernel_shape": kernel}
    form = draw(st.sampled_from(("pads", "pads", "auto")))
    if form == "auto":
        # Where a window is smaller than its stride, ONNX's shape inference and onnxruntime disagree about SAME.
        same = all(r >= s for r, s in zip(reach, strides, strict=True))
        attrs["auto_pad"] = draw(st.sampled_from(("SAME_UPPER", "SAME_LOWER", "VALID") if same else ("VALID",)))
    else:
        attrs["pads"] = [draw(st.integers(0, min(3, reach[i % 2] - 1))) for i in range(4)]
        attrs["output_padding"] = [draw(st.integers(0, min(s - 1, 3))) for s in strides]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    constants = {"w": rng.standard_normal((channels, maps, *kernel)).astype(np.float32)}
    inputs = ["x", "w"]
    if draw(st.booleans()):
        constants["b"] = rng.standard_normal(maps * group).astype(np.float32)
        inputs.append("b")
    nodes = [helper.make_node("ConvTranspose", inputs, ["y"], **attrs)]
    outputs = ["y"]
    if draw(st.booleans()):
        nodes += [helper.make_node("ConvTranspose", inputs, ["z"], **attrs), helper.make_node("Relu", ["y"], ["r"])]
        outputs += ["z", "r"]
    return model(nodes, (draw(st.integers(1, 2)), channels, 4, 5), constants, opset, outputs)


@pytest.mark.parametrize("name", DECONV)
@FAST
@given(deconvolutions(), st.sampled_from(TARGETS), st.sampled_from(Precision))
def test_deconv_passes_keep_the_function(name: str, before: onnx.ModelProto, target: str, precision: Precision) -> None:
    run(discover().find(name), before, target=target, precision=precision)


@FAST
@given(deconvolutions(), st.sampled_from(TARGETS))
def test_deconv_family_leaves_nothing_refused(before: onnx.ModelProto, target: str) -> None:
    after = before
    for name in DECONV:
        after = run(discover().find(name), after, target=target).after
    work = Model.load(after)
    context = Context(work, load_target(target))
    left = [n for n in work.nodes if n.op == "ConvTranspose" and not context.is_native(n)]
    assert not left, [(n.attrs, n.inputs[1].shape) for n in left]


@st.composite
def block_moves(draw: st.DrawFn) -> tuple[str, onnx.ModelProto]:
    """A DepthToSpace, SpaceToDepth or Focus, with or without Convs beside it."""
    opset, block = draw(st.sampled_from((11, 13, 18))), draw(st.integers(2, 4))
    channels, rng = draw(st.integers(1, 3)), np.random.default_rng(draw(st.integers(0, 99)))
    constants: dict[str, np.ndarray[Any, Any]] = {}
    nodes: list[onnx.NodeProto] = []
    name = draw(st.sampled_from(("depth-to-space", "space-to-depth", "focus-to-conv")))
    source, shape, many = "x", [1, channels, block * 3, block * 4], channels * block * block
    if name == "depth-to-space":
        shape, many = [1, many, 3, 4], channels
        if draw(st.booleans()):
            constants["w0"] = rng.standard_normal((shape[1], 2, 1, 1)).astype(np.float32)
            constants["b0"] = np.full(shape[1], 0.5, dtype=np.float32)
            constants["b0"][-1] = draw(st.sampled_from((0.5, 0.7)))
            nodes.append(helper.make_node("Conv", ["x", "w0", "b0"], ["c"]))
            source, shape = "c", [1, 2, 3, 4]
        mode = draw(st.sampled_from(("DCR", "CRD")))
        nodes.append(helper.make_node("DepthToSpace", [source], ["m"], blocksize=block, mode=mode))
    elif name == "space-to-depth":
        kept = draw(st.sampled_from((None, *itertools.permutations((1, 3, 5)))))
        if kept is None:
            nodes.append(helper.make_node("SpaceToDepth", ["x"], ["m"], blocksize=block))
        else:
            across = draw(st.sampled_from((1, 2, 4)))
            many = channels * block * across
            constants["i"] = np.asarray([1, channels, 3, block, 4 * block // across, across])
            constants["o"] = np.asarray([1, many, 3, 4 * block // across])
            assume(4 * block % across == 0)
            nodes.append(helper.make_node("Reshape", ["x", "i"], ["i6"]))
            nodes.append(helper.make_node("Transpose", ["i6"], ["t6"], perm=[0, *kept, 2, 4]))
            nodes.append(helper.make_node("Reshape", ["t6", "o"], ["m"]))
    else:
        picks = draw(st.lists(st.tuples(st.integers(0, block - 1), st.integers(0, block - 1)), min_size=2, max_size=5))
        constants |= {"e": np.full(2, 2**31 - 1), "a": np.asarray([2, -1]), "t": np.asarray([block, block])}
        for index, pick in enumerate(picks):
            constants[f"s{index}"] = np.asarray(pick, dtype=np.int64)
            nodes.append(helper.make_node("Slice", ["x", f"s{index}", "e", "a", "t"], [f"p{index}"]))
        nodes.append(helper.make_node("Concat", [f"p{i}" for i in range(len(picks))], ["m"], axis=1))
        many = channels * len(picks)
    outputs = ["y"]
    size, stride = draw(st.sampled_from(((1, 1), (3, 1), (3, 2))))
    constants["w"] = rng.standard_normal((2, many, size, size)).astype(np.float32)
    nodes.append(helper.make_node("Conv", ["m", "w"], ["y"], pads=[size // 2] * 4, strides=[stride] * 2))
    if draw(st.integers(0, 3)) == 0:
        outputs.append("m")
    return name, model(nodes, shape, constants, opset, outputs)


@FAST
@given(block_moves(), st.sampled_from(TARGETS))
def test_block_moves_keep_the_function(case: tuple[str, onnx.ModelProto], target: str) -> None:
    name, before = case
    ran = run(discover().find(name), before, target=target)
    assert ran.changes


@pytest.mark.parametrize("smooth", [False, True])
@FAST
@given(resizes())
def test_lossy_error_stays_within_the_bound(smooth: bool, before: onnx.ModelProto) -> None:
    """The stated bound, measured: inputs in [0, 1] may differ by 1 at most."""
    kind = discover().find("resize-to-nearest")
    ran = run(kind(smooth=smooth), before, settings=Settings(lossy=True, growth_macs=100.0))
    assume(ran.changes)
    shape = [d.dim_value for d in before.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": np.random.default_rng(1).random(shape, dtype=np.float32)}
    assert prove(before, ran.after, numerics=Numerics.LOSSY, bound=1.0 + 1e-5, feeds=feeds).ok


def test_half_precision_tensors_get_half_precision_constants() -> None:
    """Constants take the element type of the tensors that they meet."""
    sizes = {"sizes": np.asarray([1, 2, 16, 16], dtype=np.int64)}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear")
    before = model([node], (1, 2, 2, 2), sizes, 18, kind=TensorProto.FLOAT16)
    ran = run(discover().find("linear-to-deconv"), before, numeric=False)
    kinds = {t.data_type for t in ran.after.graph.initializer if t.name.endswith(("kernel", "map", "taps"))}
    assert ran.changes and kinds == {TensorProto.FLOAT16}
