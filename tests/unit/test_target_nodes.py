"""Nodes as exporters write them: opset differences, defaults, automatic pads, constants in disguise, broadcasts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from onnx_graphsurgeon.ir.tensor import LazyValues
from target_samples import judge, rules_of

from dlarewrite.target import Judge, NodeVerdict, Precision, Verdict, load_target
from dlarewrite.target.samples import (
    DATA,
    clip,
    concat,
    const,
    conv,
    deconv,
    gemm,
    ints,
    matmul,
    node,
    nothing,
    ones,
    pad,
    pair,
    pool,
    reduce,
    reshape,
    resize,
    sized,
    slice_,
    softmax,
    then,
    transpose,
    unary,
    var,
)

DLA, GPU, UNCERTAIN, NOOP, FOLDED = Verdict.DLA, Verdict.GPU, Verdict.UNCERTAIN, Verdict.NOOP, Verdict.FOLDED


def cure_of(verdict: NodeVerdict, rule: str) -> str:
    return next(f.cure for f in verdict.findings if f.rule == rule)


def test_the_message_of_the_documentation() -> None:
    found = judge(conv((33, 3)))
    assert found.findings[0].message == "Conv kernel height must be in [1, 32], got 33"
    assert found.findings[0].cure == "conv-kernel"
    assert "https://docs.nvidia.com" in found.findings[0].source


def test_all_reasons_are_kept_and_the_worst_comes_first() -> None:
    found = judge(conv((33, 33), strides=[9, 9], pads=[1, 0, 0, 0], channels=64, width=600))
    assert [f.effect for f in found.findings] == sorted(
        (f.effect for f in found.findings), key=["gpu", "uncertain", "note"].index
    )
    assert {"CONV-KERNEL", "CONV-STRIDE", "CONV-PAD-EVEN"} <= rules_of(found)


# Convolution and pooling


def test_automatic_pads_are_resolved_before_they_are_judged() -> None:
    assert judge(conv((33, 33), auto_pad="SAME_UPPER")).verdict is GPU
    even = judge(conv((4, 4), auto_pad="SAME_UPPER"))
    assert even.verdict is DLA
    assert rules_of(even) == {"CONV-PAD-EVEN"}


def test_weights_behind_constant_nodes_are_constant() -> None:
    made = conv()
    weights = made.inputs[1]
    quantized = gs.Node(
        "DequantizeLinear", "dq", {}, [const(np.ones((16, 16, 3, 3)), np.int8), const(0.1)], [var((16, 16, 3, 3))]
    )
    copied = gs.Node("Identity", "id", {}, [quantized.outputs[0]], [var((16, 16, 3, 3))])
    made.inputs[1] = copied.outputs[0]
    assert judge(made).verdict is DLA
    assert judge(copied).verdict is FOLDED
    made.inputs[1] = gs.Node("Identity", "id", {}, [var((16, 16, 3, 3))], [var((16, 16, 3, 3))]).outputs[0]
    assert "CONV-CONSTW" in rules_of(judge(made))
    made.inputs[1] = weights
    assert judge(made).verdict is DLA


def test_one_weight_may_serve_two_convolutions() -> None:
    first, second = conv(), conv()
    second.inputs[1] = first.inputs[1]
    assert judge(first).verdict is judge(second).verdict is DLA


def test_a_dilated_same_convolution_is_uncertain() -> None:
    found = judge(conv(pads=[6] * 4, dilations=[6, 6]))
    assert found.verdict is UNCERTAIN
    assert rules_of(found) == {"CONV-PAD-KDIL"}
    assert cure_of(found, "CONV-PAD-KDIL") == "conv-pads"
    beyond = judge(conv(pads=[13] * 4, dilations=[6, 6]))
    assert beyond.verdict is GPU
    assert rules_of(beyond) == {"CONV-PAD-LT"}


@pytest.mark.parametrize(("kernel", "cure"), [((3,), "conv1d"), ((3, 3, 3), "")])
def test_convolutions_of_other_dimensions(kernel: tuple[int, ...], cure: str) -> None:
    assert cure_of(judge(conv(kernel)), "CONV-2D") == cure


def test_the_convolution_buffer_of_the_known_refusal() -> None:
    # 512 -> 256, 3x3, on 80x160: 16 banks in FP16 and 9 in INT8, and refused by Orin's 8.5.2.
    made = node(
        "Conv",
        [var((1, 512, 80, 160)), gs.Constant("w", np.broadcast_to(np.float32(1), (256, 512, 3, 3)))],
        (1, 256, 78, 158),
    )
    for precision, banks in ((Precision.FP16, 16), (Precision.INT8, 9)):
        found = judge(made, "orin-jp5", precision)
        assert found.verdict is UNCERTAIN
        assert found.findings[0].rule == "CONV-CBUF-WARN"
        assert found.findings[0].message.endswith(f"must be at most 8, got {banks}")


def test_output_padding_is_taken_off_the_end_pads() -> None:
    absorbed = judge(deconv((3, 3), pads=[0, 0, 1, 1], output_padding=[1, 1]))
    assert absorbed.verdict is UNCERTAIN
    left = judge(deconv((3, 3), pads=[1, 1, 1, 1], output_padding=[1, 1]))
    assert left.verdict is GPU
    assert cure_of(left, "DECONV-PAD") == "deconv-pads"


@pytest.mark.parametrize(
    ("target", "verdict"), [("xavier-jp4", GPU), ("xavier-jp5", GPU), ("orin-jp5", DLA), ("orin-jp6", DLA)]
)
def test_average_pooling_without_pads_but_exclusive(target: str, verdict: Verdict) -> None:
    found = judge(pool("AveragePool"), target)
    assert found.verdict is verdict
    assert found.findings[0].cure == "average-exclusive"


def test_pool_cures() -> None:
    assert cure_of(judge(pool(kernel=(13, 13), pads=[6] * 4)), "POOL-WIN") == "pool-window"
    assert cure_of(judge(pool(ceil_mode=1)), "POOL-CEIL") == "pool-pads"


# Activations


def test_clip_reads_attributes_before_opset_11() -> None:
    old = unary("Clip", min=0.0, max=6.0)
    assert judge(old, opset=10).verdict is DLA
    assert judge(unary("Clip"), opset=10).verdict is GPU


def test_clip_with_a_missing_bound() -> None:
    found = judge(clip(None, 6))
    assert found.findings[0].message == "Clip lower bound must be 0, got -inf"
    assert cure_of(judge(clip(0, None)), "ACT-CLIP-HI") == "clip-bounds"


def test_clip_with_bounds_from_constant_nodes() -> None:
    def scalar(value: float) -> gs.Variable:
        held = gs.Constant("v", np.array(value, np.float32))
        made = gs.Node("Constant", "k", {"value": held}, [], [var((), name="k")])
        out: gs.Variable = made.outputs[0]
        return out

    assert judge(node("Clip", [var(), scalar(0), scalar(6)])).verdict is DLA
    assert judge(node("Clip", [var(), scalar(-1), scalar(6)])).verdict is GPU
    assert judge(node("Clip", [var(), var((), name="low")])).verdict is not DLA


def test_clip_of_integers_runs_on_the_gpu() -> None:
    made = node("Clip", [var(dtype=np.int64), const(0, np.int64), const(6, np.int64)], dtype=np.int64)
    assert "GEN-DTYPE" in rules_of(judge(made))


@pytest.mark.parametrize(
    ("op", "cure"),
    [
        ("HardSigmoid", "hard-sigmoid"),
        ("HardSwish", "hard-swish"),
        ("ThresholdedRelu", "leaky-forms"),
        ("Mish", "swish-mish"),
        ("Gelu", "gelu-logit"),
        ("Erf", "gelu-logit"),
        ("Neg", "logic"),
        ("Sqrt", "reciprocal"),
        ("LSTM", "recurrent"),
        ("LayerNormalization", "norm-explicit"),
        ("DepthToSpace", "depth-to-space"),
        ("Identity", "drop-noops"),
        ("GlobalAveragePool", "global-average-pool"),
        ("Ceil", ""),
    ],
)
def test_refused_operators_name_their_cure(op: str, cure: str) -> None:
    found = judge(unary(op))
    assert found.verdict is GPU
    assert found.findings[0].cure == cure


# Element-wise layers and constants


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (2.0, DLA),
        ([2.0], DLA),
        (np.ones((16, 1, 1)), DLA),
        (np.ones((1, 16, 1, 1)), DLA),
        (np.ones((1, 16, 8, 8)), DLA),
        (np.ones((16, 8, 8)), DLA),
        (np.ones((8, 8)), UNCERTAIN),
        (np.ones((8,)), UNCERTAIN),
        (np.ones((1, 1, 8, 8)), UNCERTAIN),
        (np.ones((1, 16, 8, 1)), UNCERTAIN),
    ],
    ids=lambda v: str(np.shape(v)) if not isinstance(v, Verdict) else v.value,
)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_constants_that_become_a_scale(op: str, values: Any, verdict: Verdict) -> None:
    found = judge(pair(op, var(), const(values)))
    assert found.verdict is verdict
    if verdict is UNCERTAIN:
        assert cure_of(found, "EW-CONST") == "const-operand"


def test_a_constant_that_broadcasts_the_activation_is_no_scale() -> None:
    found = judge(pair("Mul", var((1, 16, 1, 1)), ones(1, 16, 8, 8)))
    assert found.verdict is UNCERTAIN
    full = judge(pair("Add", var((2, 16, 8, 8)), ones(2, 16, 8, 8), (2, 16, 8, 8)))
    assert full.verdict is UNCERTAIN


def test_subtraction_from_a_constant_is_noted() -> None:
    found = judge(pair("Sub", const(1.0), var()))
    assert found.verdict is DLA
    assert rules_of(found) == {"EW-SUB-CONST"}


@pytest.mark.parametrize("shape", [(1, 16, 1, 1), (1, 1, 8, 8), (1, 1, 1, 1)])
def test_activations_of_other_shapes_are_uncertain(shape: tuple[int, ...]) -> None:
    found = judge(pair("Mul", var(name="a"), var(shape, name="b")))
    assert found.verdict is UNCERTAIN
    assert cure_of(found, "EW-BCAST") == "broadcast-explicit"


def test_activations_of_lower_rank_run_on_the_gpu() -> None:
    found = judge(pair("Add", var(name="a"), var((16, 1, 1), name="b")))
    assert found.verdict is GPU
    assert cure_of(found, "EW-2D") == "lift-to-4d"


def test_a_tensor_with_itself() -> None:
    x = var()
    assert judge(pair("Mul", x, x)).verdict is DLA


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_extremes_with_a_constant_are_clips(op: str) -> None:
    found = judge(pair(op, var(), const(0.0)))
    assert found.verdict is UNCERTAIN
    assert {f.cure for f in found.findings} == {"clip-bounds"}


def test_division_and_power_where_they_are_refused() -> None:
    for op in ("Div", "Pow"):
        found = judge(pair(op, var(), const(2.0)), "orin-jp6.0")
        assert found.verdict is GPU
        assert found.findings[0].cure == "div-pow-by-const"
    assert judge(pair("Div", var(name="a"), var(name="b")), "orin-jp6.0").findings[0].cure == ""


def test_sums_of_many_and_of_one() -> None:
    three = node("Sum", [var(name=n) for n in "abc"])
    assert judge(three).verdict is DLA
    three.inputs[2].shape = [1, 16, 1, 1]
    assert judge(three).verdict is UNCERTAIN
    assert judge(node("Sum", [var()])).findings[0].rule == "IDENT"


@pytest.mark.parametrize(("dtype", "cure"), [(np.float64, "narrow-types"), (16, "narrow-types"), (np.int32, "")])
def test_element_types_without_a_dla_form(dtype: Any, cure: str) -> None:
    found = judge(pair("Add", var(dtype=dtype, name="a"), var(dtype=dtype, name="b"), dtype=dtype))
    assert found.verdict is GPU
    assert cure_of(found, "GEN-DTYPE") == cure


def test_half_precision_tensors_are_at_home() -> None:
    assert (
        judge(pair("Add", var(dtype=np.float16, name="a"), var(dtype=np.float16, name="b"), dtype=np.float16)).verdict
        is DLA
    )


# Layout


def test_concat_along_other_axes() -> None:
    assert cure_of(judge(concat(axis=-1)), "CAT-AXIS") == "concat-axis"
    assert judge(concat(axis=-3)).verdict is DLA
    assert cure_of(judge(concat(1)), "CAT-N") == "concat-pairs"


def test_slices_before_and_after_opset_10() -> None:
    old = node("Slice", [var()], (1, 8, 8, 8), starts=[0], ends=[8], axes=[1])
    assert judge(old, opset=9).verdict is DLA
    without_axes = node("Slice", [var(), ints(0, 0), ints(1, 8)], (1, 8, 8, 8))
    assert judge(without_axes).verdict is DLA
    flipped = node("Slice", [var(), ints(-1), ints(-100), ints(3), ints(-1)])
    assert cure_of(judge(flipped), "SLICE-STRIDE") == "slice-steps"


def test_slices_at_every_other_element() -> None:
    found = judge(slice_(2, 0, 8, 2))
    assert found.verdict is GPU
    assert cure_of(found, "SLICE-STRIDE") == "slice-steps"


def test_split_with_sizes_or_a_count() -> None:
    halves = [var((1, 8, 8, 8), name=n) for n in "ab"]
    assert judge(gs.Node("Split", "s", {"axis": 1, "num_outputs": 2}, [var()], halves), opset=18).verdict is DLA
    sized_ = gs.Node("Split", "s", {"axis": 1}, [var(), ints(8, 8)], [var((1, 8, 8, 8), name=n) for n in "cd"])
    assert judge(sized_).verdict is DLA
    batch = gs.Node("Split", "s", {}, [var((2, 16, 8, 8))], [var(name=n) for n in "ef"])
    assert "SLICE-NOTN" in rules_of(judge(batch))
    assert judge(gs.Node("Split", "s", {"axis": 1}, [var()], [var(name="g")])).verdict is NOOP


def test_pads_before_opset_11_and_their_cures() -> None:
    old = unary("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    old.outputs[0].shape = [1, 16, 10, 10]
    assert judge(old, opset=10).findings[0].cure == "pad-explicit"
    assert judge(then(pad(), "Conv")).findings[0].cure == "fold-pad"
    assert judge(then(then(pad(), "Conv"), "Relu")).findings[0].cure == "pad-explicit"
    assert judge(then(pad(mode="reflect"), "Conv")).findings[0].cure == "pad-explicit"


def test_nodes_that_change_nothing() -> None:
    assert judge(reshape(DATA, DATA)).verdict is NOOP
    assert judge(transpose((0, 1, 2, 3))).verdict is NOOP
    assert judge(transpose((0, 2, 1, 3), (1, 16, 1, 8))).verdict is UNCERTAIN
    assert judge(transpose((1, 0, 2, 3), (1, 1, 4, 5))).verdict is NOOP
    assert judge(pad(pads=(0,) * 8)).verdict is NOOP
    assert judge(pad(pads=(0, 0, 1, 0, 0, 0, -1, 0))).verdict is GPU
    assert judge(slice_(1, 0, 16)).verdict is NOOP
    assert judge(node("Cast", [var()], to=1)).verdict is NOOP
    assert judge(node("Expand", [var(), ints(1, 1, 1, 1)])).verdict is NOOP
    assert judge(node("Flatten", [var((1, 16))], (1, 16))).verdict is NOOP
    assert Verdict.NOOP.transparent
    assert Verdict.FOLDED.transparent
    assert not Verdict.NOOP.on_dla


def test_shuffles_name_the_pass_for_their_pattern() -> None:
    grouped = reshape((1, 16, 8, 8), (1, 2, 8, 8, 8))
    turned = gs.Node("Transpose", "t", {"perm": [0, 2, 1, 3, 4]}, [grouped.outputs[0]], [var((1, 8, 2, 8, 8))])
    assert {f.cure for f in judge(grouped).findings if f.rule.startswith("SHUF")} == {"channel-shuffle"}
    assert cure_of(judge(turned), "SHUF-EXIST") == "channel-shuffle"
    for build in (lambda: node("Flatten", [var()], (1, 1024)), lambda: reshape(after=(1, 1024))):
        flat = build()
        rule = "SHUF-FLAT" if flat.op == "Flatten" else "SHUF-4D"
        reader = gs.Node("Gemm", "g", {}, [flat.outputs[0], ones(1024, 10)], [var((1, 10))])
        assert cure_of(judge(flat), rule) == "gemm-to-conv"
        reader.inputs[1] = var((1024, 10))
        assert cure_of(judge(flat), rule) == "lift-to-4d"
    assert cure_of(judge(transpose()), "SHUF-EXIST") == "transpose-sink"


def test_a_reshape_beside_a_slice_is_refused_from_10_on() -> None:
    behind = slice_()
    made = gs.Node("Reshape", "r", {}, [behind.outputs[0], ints(1, 4, 16, 8)], [var((1, 4, 16, 8))])
    assert judge(made, "orin-jp6").verdict is GPU
    assert judge(made, "orin-jp6.0").verdict is UNCERTAIN


# Resize


def test_resize_by_sizes_names_the_cure_for_its_ratio() -> None:
    assert cure_of(judge(sized(16, 16)), "RSZ-SCALES") == "resize-sizes-to-scales"
    assert cure_of(judge(sized(4, 4)), "RSZ-SCALES") == "downsample"
    assert cure_of(judge(sized(12, 12, "linear")), "RSZ-SCALES") == "align-corners-linear"
    assert cure_of(judge(sized(12, 12)), "RSZ-SCALES") == ""


def test_resize_by_opset() -> None:
    ten = node("Resize", [var(), const([1, 1, 2, 2])], (1, 16, 16, 16), mode="nearest")
    assert judge(ten, "xavier-jp4", opset=10).verdict is DLA
    nine = node("Upsample", [var(), const([1, 1, 2, 2])], (1, 16, 16, 16), mode="nearest")
    assert judge(nine, opset=9).verdict is DLA
    seven = node("Upsample", [var()], (1, 16, 16, 16), mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    assert judge(seven, opset=7).verdict is DLA
    assert judge(node("Upsample", [var(), const([1, 1, 2, 2])], (1, 16, 16, 16), mode="linear"), opset=9).verdict is GPU
    axes = node(
        "Resize",
        [var(), nothing(), const([2, 2])],
        (1, 16, 16, 16),
        mode="nearest",
        axes=[2, 3],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    assert judge(axes, opset=18).verdict is DLA
    defaults = node("Resize", [var(), nothing(), const([1, 1, 2, 2])], (1, 16, 16, 16))
    assert judge(defaults).verdict is DLA
    assert cure_of(judge(defaults, "xavier-jp4"), "RSZ-NEAR-82") == "resize-mode"


@pytest.mark.parametrize(
    ("scales", "mode", "rule", "cure"),
    [
        ((1, 1, 64, 64), "nearest", "RSZ-NEAR", "nearest-cascade"),
        ((1, 1, 8, 8), "linear", "RSZ-LIN", "linear-to-deconv"),
        ((1, 1, 0.5, 0.5), "linear", "RSZ-LIN", "downsample"),
        ((1, 1, 1.5, 1.5), "linear", "RSZ-LIN", "align-corners-linear"),
        ((1, 1, 1.5, 1.5), "nearest", "RSZ-NEAR", ""),
    ],
)
def test_resize_scales_name_their_cure(scales: tuple[float, ...], mode: str, rule: str, cure: str) -> None:
    found = judge(resize(scales, mode))
    assert found.verdict is GPU
    assert cure_of(found, rule) == cure


@pytest.mark.parametrize(
    ("word", "cure"),
    [("align_corners", "align-corners-linear"), ("half_pixel_symmetric", "resize-mode"), ("tf_crop_and_resize", "")],
)
def test_linear_coordinates(word: str, cure: str) -> None:
    found = judge(resize(mode="linear", coordinate_transformation_mode=word))
    assert found.verdict is GPU
    assert cure_of(found, "RSZ-LIN-MODE") == cure


# Reductions, softmax, matrices


def test_reductions_name_the_pass_for_their_axes() -> None:
    assert judge(reduce("ReduceMean", (2, 3))).findings[0].cure == "global-average-pool"
    assert judge(reduce("ReduceMean", (1,))).findings[0].cure == "reduce-channel"
    assert judge(reduce("ReduceSum", (-1, -2))).findings[0].cure == "reduce-sum"
    assert judge(reduce("ReduceMean", (0, 1))).findings[0].cure == ""
    assert judge(reduce("ReduceMax", (2, 3)), "orin-jp6.0").findings[0].cure == "global-max-pool"
    assert judge(reduce("ReduceMean", (1,), (1, 16, 8))).findings[0].cure == "lift-to-4d"
    assert cure_of(judge(reduce(keepdims=0)), "RED-KEEP") == "keepdims"


def test_reduction_axes_as_an_input() -> None:
    made = node("ReduceMax", [var(), ints(2, 3)], (1, 16, 1, 1))
    assert judge(made, opset=18).verdict is DLA
    assert judge(node("ReduceMax", [var(), var((2,), np.int64)], (1, 16, 1, 1)), opset=18).verdict is GPU
    everything = node("ReduceMax", [var()], (1, 1, 1, 1))
    assert "RED-AXES" in rules_of(judge(everything))


def test_softmax_before_opset_13_is_flattened() -> None:
    made = node("Softmax", [var()])
    found = judge(made, opset=11)
    assert found.verdict is GPU
    assert cure_of(found, "SHUF-FLAT") == "upgrade-legacy"
    assert judge(node("Softmax", [var()]), opset=13).verdict is DLA
    assert judge(softmax(axis=-3)).verdict is DLA
    assert cure_of(judge(unary("LogSoftmax", axis=1)), "UNARY-NO") == ""


def test_matrix_products() -> None:
    assert judge(gemm()).verdict is UNCERTAIN
    assert cure_of(judge(gemm()), "FC-RESHAPE") == "gemm-to-conv"
    assert judge(gemm(25088)).verdict is GPU
    tokens = judge(matmul((1, 197, 64), (64, 64)))
    assert tokens.verdict is UNCERTAIN
    assert cure_of(tokens, "FC-RESHAPE") == "matmul-tokens"
    assert judge(matmul((4, 8, 16), (4, 16, 8))).verdict is GPU
    first = node("MatMul", [ones(8, 16), var((16, 8))], (8, 8))
    assert judge(first).findings[0].rule == "MM-ACT"
    turned = gemm(transB=1)
    turned.inputs[1] = ones(10, 64)
    assert rules_of(judge(turned)) == {"FC-RESHAPE"}


def test_training_batch_normalization() -> None:
    stats = [ones(16) for _ in range(4)]
    made = node("BatchNormalization", [var(), *stats], training_mode=1)
    assert judge(made, opset=15).verdict is UNCERTAIN


def test_gathers_and_selections_with_constants() -> None:
    assert judge(node("Gather", [var(), ints(0, 1)], (1, 2, 8, 8), axis=1)).findings[0].cure == "channel-select"
    assert judge(node("Gather", [var(), ints(0, 1)], (1, 16, 2, 8), axis=-2)).findings[0].cure == "slice-split-hw"
    assert judge(node("Gather", [var(), var((2,), np.int64)], (1, 2, 8, 8), axis=1)).findings[0].cure == ""
    mask = const(np.ones(DATA), np.bool_)
    assert judge(node("Where", [mask, var(name="a"), var(name="b")])).findings[0].cure == "where-const"
    assert judge(node("CumSum", [var(), const(1, np.int64)])).findings[0].cure == "cumsum"


def test_casts_name_their_cure() -> None:
    head = node("Cast", [var(dtype=np.uint8)], to=1)
    assert judge(head).findings[0].cure == "split-tail"
    inner = gs.Node("Relu", "r", {}, [var(dtype=np.float64)], [var(dtype=np.float64, name="m")])
    assert judge(node("Cast", [inner.outputs[0]], to=1)).findings[0].cure == "narrow-types"


# Shapes that are not known


@pytest.mark.parametrize("shape", [("n", 16, 8, 8), (1, 16, "h", "w"), (-1, 16, 8, 8), (1, 16, None, 8), None])
def test_dynamic_shapes_run_on_the_gpu_and_say_so(shape: Any) -> None:
    for op in ("Relu", "Conv", "Concat", "Resize", "Softmax", "Reshape"):
        extra = [ones(16, 16, 3, 3)] if op == "Conv" else []
        found = judge(node(op, [var(shape), *extra], shape, axis=1))
        assert found.verdict is GPU, op
        assert cure_of(found, "GEN-STATIC") == "freeze-shapes"


def test_judging_changes_nothing_and_reads_no_weights() -> None:
    class Unread(LazyValues):  # type: ignore[misc]
        def __init__(self) -> None:
            self.shape, self.dtype, self.nbytes = (16, 16, 3, 3), np.dtype(np.float32), 0

        def load(self) -> None:
            raise AssertionError("weights were read")

    made = conv()
    made.inputs[1].values = Unread()
    with pytest.raises(AssertionError):
        _ = made.inputs[1].values
    made.inputs[1].values = Unread()
    before = (str(made), len(made.inputs), dict(made.attrs))
    judge_ = Judge(load_target("orin-jp6"), 17)
    assert judge_.node(made) == judge_.node(made)
    assert (str(made), len(made.inputs), dict(made.attrs)) == before
