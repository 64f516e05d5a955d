"""Linear algebra and layout passes over random shapes and attributes.

Same numbers in onnxruntime, and the pass does fire.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.catalogue import discover
from dlarewrite.target import Precision
from dlarewrite.testing import Ran, run

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
KINDS = st.sampled_from((TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16))
SMALL = st.integers(1, 6)
Arrays = dict[str, np.ndarray[Any, Any]]


def weights(*dims: int, kind: int = TensorProto.FLOAT, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng([seed, *dims])
    return rng.standard_normal(dims).astype(helper.tensor_dtype_to_np_dtype(kind)) * 0.5


def ran(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...]],
    constants: Arrays,
    outputs: tuple[str, ...] = ("y",),
    *,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    precision: Precision = Precision.FP16,
    target: str = "orin-jp6",
) -> Ran:
    """The pass run on the model; values are compared whenever it changed something."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kind, dims) for n, dims in inputs.items()],
        [helper.make_tensor_value_info(n, kind, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(value), n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return run(discover().find(name), model, precision=precision, target=target)


def left(result: Ran, *ops: str) -> list[str]:
    """The operators of the given names that are left."""
    return [n.op_type for n in result.after.graph.node if n.op_type in ops]


@QUICK
@given(
    dims=st.tuples(st.integers(1, 2), SMALL, SMALL, SMALL),
    counts=st.tuples(SMALL, SMALL),
    alpha=st.sampled_from((1.0, 0.5)),
    beta=st.sampled_from((1.0, 2.0, 0.0)),
    transposed=st.booleans(),
    bias=st.sampled_from(("none", "scalar", "one", "vector", "row")),
    activation=st.sampled_from(("Relu", "Sigmoid", "LeakyRelu", "HardSigmoid", "Softmax")),
    channels_last=st.booleans(),
    kind=KINDS,
    opset=st.sampled_from((9, 11, 13, 17)),
)
def test_gemm_to_conv(
    dims: tuple[int, ...],
    counts: tuple[int, int],
    alpha: float,
    beta: float,
    transposed: bool,
    bias: str,
    activation: str,
    channels_last: bool,
    kind: int,
    opset: int,
) -> None:
    batch, features = dims[0], int(np.prod(dims[1:]))
    bias = "vector" if opset < 11 and bias == "none" else bias
    shapes = {"scalar": (), "one": (1,), "vector": (counts[0],), "row": (1, counts[0])}
    constants: Arrays = {
        "w": weights(*((counts[0], features) if transposed else (features, counts[0])), kind=kind),
        "v": weights(counts[0], counts[1], kind=kind, seed=1),
        "s": weights(counts[1], kind=kind, seed=2),
    }
    if bias != "none":
        constants["c"] = weights(*shapes[bias], kind=kind, seed=3)
    source = "t" if channels_last else "x"
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", [source], ["f"]),
        helper.make_node(
            "Gemm",
            ["f", "w", *(["c"] if bias != "none" else [])],
            ["g"],
            alpha=alpha,
            beta=beta,
            transB=int(transposed),
        ),
        helper.make_node(activation, ["g"], ["a"], **({"axis": 1} if activation == "Softmax" else {})),
        helper.make_node("MatMul", ["a", "v"], ["m"]),
        helper.make_node("Add", ["s", "m"], ["y"]),
    ]
    result = ran("gemm-to-conv", nodes[0 if channels_last else 1 :], {"x": dims}, constants, opset=opset, kind=kind)
    assert result.changes
    assert not left(result, "Gemm", "MatMul", "Flatten")
    assert batch == 1 or left(result, "Reshape") == ["Reshape"]


@QUICK
@given(
    form=st.tuples(st.integers(1, 2), SMALL, st.integers(1, 40), st.integers(1, 40)),
    small=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    operator=st.sampled_from(("Mul", "Add", "Sub", "Max")),
    turned=st.booleans(),
    opset=st.sampled_from((9, 10, 11, 13, 18)),
    kind=KINDS,
)
def test_broadcast_explicit(
    form: tuple[int, ...], small: tuple[bool, ...], operator: str, turned: bool, opset: int, kind: int
) -> None:
    other = (form[0], *(1 if cut else size for size, cut in zip(form[1:], small, strict=True)))
    operands = ["z", "x"] if turned else ["x", "z"]
    nodes = [helper.make_node(operator, operands, ["y"]), helper.make_node("Mul", ["z", "y"], ["q"])]
    # onnxruntime has no fp16 kernel for the old Upsample.
    kind = kind if opset > 10 else TensorProto.FLOAT
    result = ran("broadcast-explicit", nodes, {"x": form, "z": other}, {}, ("y", "q"), opset=opset, kind=kind)
    assert bool(result.changes) == (other != form)


@QUICK
@given(
    length=st.integers(8, 30),
    channels=st.tuples(SMALL, SMALL),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    operator=st.sampled_from(("Conv", "ConvTranspose")),
    tail=st.sampled_from(
        ("MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Slice", "Split", "Pad", "ReduceMean")
    ),
    opset=st.sampled_from((11, 13, 17, 18)),
)
def test_conv1d_and_what_stands_behind(
    length: int,
    channels: tuple[int, int],
    kernel: int,
    stride: int,
    dilation: int,
    pads: tuple[int, int],
    operator: str,
    tail: str,
    opset: int,
) -> None:
    order = (channels[1], channels[0]) if operator == "Conv" else channels
    constants: Arrays = {
        "w": weights(*order, kernel),
        "starts": np.asarray([1]),
        "ends": np.asarray([-1]),
        "axes": np.asarray([-1]),
        "two": np.asarray([2]),
        "pads": np.asarray([0, 0, 1, 0, 0, 2]),
    }
    first = helper.make_node(
        operator, ["x", "w"], ["c"], strides=[stride], dilations=[dilation], pads=[min(p, kernel - 1) for p in pads]
    )
    second = {
        "MaxPool": helper.make_node("MaxPool", ["c"], ["y"], kernel_shape=[2], pads=[1, 0]),
        "AveragePool": helper.make_node("AveragePool", ["c"], ["y"], kernel_shape=[2], strides=[2], ceil_mode=1),
        "GlobalAveragePool": helper.make_node("GlobalAveragePool", ["c"], ["y"]),
        "Concat": helper.make_node("Concat", ["c", "c"], ["y"], axis=-2),
        "Slice": helper.make_node("Slice", ["c", "starts", "ends", "axes"], ["y"]),
        "Split": helper.make_node("Slice", ["c", "starts", "ends", "axes", "two"], ["y"]),
        "Pad": helper.make_node("Pad", ["c", "pads"], ["y"]),
        "ReduceMean": helper.make_node(
            "ReduceMean", ["c", "axes"] if opset >= 18 else ["c"], ["y"], **({} if opset >= 18 else {"axes": [-1]})
        ),
    }[tail]
    nodes = [first, helper.make_node("Sigmoid", ["c"], ["s"]), second]
    result = ran("conv1d", nodes, {"x": (1, channels[0], length)}, constants, ("y", "s"), opset=opset)
    if operator == "ConvTranspose" and (any(min(p, kernel - 1) for p in pads) or (dilation > 1 and kernel > 1)):
        # Padded and dilated deconvolutions are refused at rank 4 too: nothing is gained, and that is said.
        assert result.changes or result.reasons
        return
    assert result.changes
    assert all(len(n.dims) == 4 for n in result.after.graph.initializer if n.name.startswith("w"))


@QUICK
@given(
    form=st.tuples(st.integers(1, 2), st.integers(2, 6), st.integers(2, 5), st.integers(2, 5)),
    steps=st.lists(
        st.sampled_from(("Relu", "Mul", "Concat", "Slice", "Softmax", "Pad", "PRelu", "Split")), min_size=1, max_size=4
    ),
    open_end=st.booleans(),
    opset=st.sampled_from((11, 13, 17)),
)
def test_transpose_sink(form: tuple[int, ...], steps: list[str], open_end: bool, opset: int) -> None:
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1])]
    constants: Arrays = {"p": np.asarray([0, 1, 0, 0, 0, 0, 2, 0]), "a": np.asarray([-1]), "b": np.asarray([0])}
    constants["e"] = np.asarray([2])
    at, channels = "t", form[1]
    # Before opset 13 a Softmax runs over all axes from its own on: over C alone in NHWC, which NCHW cannot say.
    steps = [step for step in steps if step != "Softmax" or opset >= 13] or ["Relu"]
    for index, step in enumerate(steps):
        out = f"n{index}"
        constants[f"k{index}"] = weights(channels, seed=index)
        made = {
            "Relu": helper.make_node("Relu", [at], [out]),
            "Mul": helper.make_node("Mul", [f"k{index}", at], [out]),
            "PRelu": helper.make_node("PRelu", [at, f"k{index}"], [out]),
            "Concat": helper.make_node("Concat", [at, at], [out], axis=-1),
            "Slice": helper.make_node("Slice", [at, "b", "e", "a"], [out]),
            "Softmax": helper.make_node("Softmax", [at], [out], axis=3),
            "Pad": helper.make_node("Pad", [at, "p"], [out]),
            "Split": helper.make_node("Split", [at], [out, f"m{index}"], axis=3) if channels % 2 == 0 else None,
        }[step] or helper.make_node("Sigmoid", [at], [out])
        nodes.append(made)
        channels = {"Concat": channels * 2, "Slice": 2}.get(step, channels)
        channels = channels // 2 if made.op_type == "Split" else channels
        at = out
    nodes.append(helper.make_node("Transpose", [at], ["y"], perm=[0, 3, 1, 2]))
    outputs = ("y", at) if open_end else ("y",)
    result = ran("transpose-sink", nodes, {"x": form}, constants, outputs, opset=opset)
    if not open_end:
        assert result.changes
        assert not left(result, "Transpose")


@QUICK
@given(
    form=st.tuples(st.just(1), st.integers(2, 6), st.integers(1, 5), st.integers(1, 5)),
    count=st.integers(2, 6),
    flat=st.booleans(),
    kind=KINDS,
)
def test_matmul_tokens(form: tuple[int, ...], count: int, flat: bool, kind: int) -> None:
    constants: Arrays = {
        "w": weights(form[1], count, kind=kind),
        "b": weights(count, kind=kind),
        "flat": np.asarray([1, form[1], form[2] * form[3]]),
        "back": np.asarray([1, count, form[2], form[3]]),
    }
    to, fro = ([0, 2, 1], [0, 2, 1]) if flat else ([0, 2, 3, 1], [0, 3, 1, 2])
    nodes = [
        *([helper.make_node("Reshape", ["x", "flat"], ["f"])] if flat else []),
        helper.make_node("Transpose", ["f" if flat else "x"], ["t"], perm=to),
        helper.make_node("MatMul", ["t", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["s"]),
        helper.make_node("Transpose", ["s"], ["u" if flat else "y"], perm=fro),
        *([helper.make_node("Reshape", ["u", "back"], ["y"])] if flat else []),
    ]
    result = ran("matmul-tokens", nodes, {"x": form}, constants, kind=kind)
    assert result.changes
    assert [n.op_type for n in result.after.graph.node] == ["Conv", "Add"]


@QUICK
@given(
    groups=st.sampled_from(((2, 4), (4, 2), (3, 3), (2, 6), (3, 4))),
    plane=st.tuples(SMALL, SMALL),
    readers=st.lists(st.sampled_from(("dense", "grouped", "depthwise", "relu", "add", "half")), min_size=1, max_size=3),
    flat=st.booleans(),
    most=st.sampled_from((1, 4, 24)),
)
def test_channel_shuffle(
    groups: tuple[int, int], plane: tuple[int, int], readers: list[str], flat: bool, most: int
) -> None:
    count = groups[0] * groups[1]
    inner = (1, *groups, plane[0] * plane[1]) if flat else (1, *groups, *plane)
    constants: Arrays = {
        "a": np.asarray(inner),
        "b": np.asarray((1, count, *plane)),
        "zero": np.asarray([0]),
        "half": np.asarray([count // 2]),
        "axis": np.asarray([1]),
    }
    perm = [0, 2, 1, 3] if flat else [0, 2, 1, 3, 4]
    nodes = [
        helper.make_node("Reshape", ["x", "a"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=perm),
        helper.make_node("Reshape", ["t", "b"], ["s"]),
    ]
    outputs = []
    for index, reader in enumerate(readers):
        out, weight = f"y{index}", f"w{index}"
        outputs.append(out)
        forms = {"dense": (3, count, 1, 1), "grouped": (count, groups[1], 1, 1), "depthwise": (count, 1, 3, 3)}
        constants[weight] = weights(*forms.get(reader, (1,)), seed=index)
        nodes += {
            "dense": [helper.make_node("Conv", ["s", weight], [out])],
            "grouped": [helper.make_node("Conv", ["s", weight], [out], group=groups[0])],
            "depthwise": [helper.make_node("Conv", ["s", weight], [out], group=count, pads=[1, 1, 1, 1])],
            "relu": [helper.make_node("Relu", ["s"], [out])],
            "add": [helper.make_node("Add", ["s", "x"], [out])],
            "half": [helper.make_node("Slice", ["s", "zero", "half", "axis"], [out])],
        }[reader]
    graph = (nodes, {"x": (1, count, *plane)}, constants, tuple(outputs))
    from dlarewrite.rewrite.spec import create

    model = _model(*graph)
    result = run(create(discover().find("channel-shuffle"), f"max_slices={most}"), model)
    assert result.changes
    assert not left(result, "Transpose", "Reshape")


def _model(
    nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, ...]], constants: Arrays, outputs: tuple[str, ...]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n, dims in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(value), n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


@QUICK
@given(
    channels=st.integers(2, 8),
    data=st.data(),
    operator=st.sampled_from(("Gather", "Slice", "Split")),
    made=st.booleans(),
    target=st.sampled_from(("xavier-jp4", "orin-jp6")),
    precision=st.sampled_from(tuple(Precision)),
)
def test_channel_select(
    channels: int, data: st.DataObject, operator: str, made: bool, target: str, precision: Precision
) -> None:
    rows = data.draw(st.lists(st.integers(-channels, channels - 1), min_size=1, max_size=6))
    start, step = data.draw(st.integers(0, channels - 1)), data.draw(st.sampled_from((-2, -1, 1, 2)))
    constants: Arrays = {
        "w": weights(channels, 3, 1, 1),
        "rows": np.asarray(rows),
        "s": np.asarray([start]),
        "e": np.asarray([99 if step > 0 else -99]),
        "a": np.asarray([1]),
        "t": np.asarray([step]),
        "sizes": np.asarray([1, channels - 1]),
    }
    source = "m" if made else "x"
    nodes = [helper.make_node("Conv", ["x", "w"], ["m"])] if made else []
    nodes += {
        "Gather": [helper.make_node("Gather", [source, "rows"], ["y"], axis=1)],
        "Slice": [helper.make_node("Slice", [source, "s", "e", "a", "t"], ["y"])],
        "Split": [helper.make_node("Split", [source, "sizes"], ["y", "z"], axis=-3)],
    }[operator]
    outputs = ("y", "z") if operator == "Split" else ("y",)
    inputs = {"x": (1, 3 if made else channels, 4, 5)}
    result = ran("channel-select", nodes, inputs, constants, outputs, opset=13, target=target, precision=precision)
    legal = operator != "Gather" and (operator == "Split" or step == 1)
    if not (legal and target == "orin-jp6" and precision is Precision.FP16):
        assert result.changes or result.reasons


@QUICK
@given(
    form=st.tuples(st.just(1), st.integers(1, 4), st.integers(4, 30), st.integers(4, 30)),
    data=st.data(),
    target=st.sampled_from(("xavier-jp4", "orin-jp6")),
)
def test_slice_steps(form: tuple[int, ...], data: st.DataObject, target: str) -> None:
    axes = data.draw(st.sampled_from(([2], [3], [2, 3], [1, 3], [-1])))
    steps = [data.draw(st.integers(1, 9)) for _ in axes]
    starts = [data.draw(st.integers(-form[a], form[a] - 1)) for a in axes]
    ends = [data.draw(st.sampled_from((99, form[a] - 1, form[a]))) for a in axes]
    kept = [len(range(form[a])[s:e:t]) for a, s, e, t in zip(axes, starts, ends, steps, strict=True)]
    if 0 in kept:
        return
    constants = {"s": np.asarray(starts), "e": np.asarray(ends), "a": np.asarray(axes), "t": np.asarray(steps)}
    nodes = [helper.make_node("Slice", ["x", "s", "e", "a", "t"], ["y"])]
    result = ran("slice-steps", nodes, {"x": form}, constants, target=target)
    plane = [t for a, t in zip(axes, steps, strict=True) if a != 1]
    if target == "orin-jp6" and max(plane) > 1 and (axes[0] != 1 or steps[0] == 1):
        assert result.changes


@QUICK
@given(
    form=st.tuples(st.just(1), st.integers(1, 4), st.integers(3, 9), st.integers(3, 9)),
    widths=st.lists(st.integers(-1, 35), min_size=6, max_size=6),
    value=st.sampled_from((0.0, 0.0, 1.5)),
    opset=st.sampled_from((9, 11, 13, 18)),
    kind=KINDS,
)
def test_pad_explicit(form: tuple[int, ...], widths: list[int], value: float, opset: int, kind: int) -> None:
    pads = [0, max(0, widths[0] % 3), *widths[1:3], 0, max(0, widths[3] % 3), *widths[4:6]]
    if min(size + pads[i] + pads[i + 4] for i, size in enumerate(form)) < 1:
        return
    constants: Arrays = {"p": np.asarray(pads)}
    if opset < 11:
        nodes = [helper.make_node("Pad", ["x"], ["y"], pads=pads, value=value)]
        constants = {}
    else:
        constants["v"] = np.asarray(value, helper.tensor_dtype_to_np_dtype(kind))
        nodes = [helper.make_node("Pad", ["x", "p", "v"], ["y"])]
    result = ran(
        "pad-explicit", nodes, {"x": form}, constants, opset=opset, kind=kind if opset > 10 else TensorProto.FLOAT
    )
    assert bool(result.changes) == any(pads)


@QUICK
@given(
    form=st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from((1, 1, 4)), st.sampled_from((1, 1, 3))),
    times=st.tuples(st.integers(1, 4), st.integers(1, 70), st.integers(1, 70)),
    operator=st.sampled_from(("Expand", "Tile")),
)
def test_tile_expand(form: tuple[int, ...], times: tuple[int, ...], operator: str) -> None:
    usable = (1, *(t if operator == "Tile" or size == 1 else 1 for t, size in zip(times, form[1:], strict=True)))
    argument = usable if operator == "Tile" else tuple(a * b for a, b in zip(form, usable, strict=True))
    nodes = [helper.make_node(operator, ["x", "n"], ["y"])]
    result = ran("tile-expand", nodes, {"x": form}, {"n": np.asarray(argument, np.int64)})
    periodic = any(t > 1 and size > 1 for t, size in zip(usable[2:], form[2:], strict=True))
    assert bool(result.changes) == (max(usable) > 1 and not periodic)


@QUICK
@given(
    count=st.integers(2, 4),
    form=st.tuples(st.just(1), SMALL, SMALL, SMALL),
    where=st.sampled_from((0, 1)),
    middle=st.sampled_from(("Relu", "Mul", "none")),
    end=st.sampled_from(("ReduceSum", "ReduceMean", "ReduceMax", "Gather", "Split")),
)
def test_unstack(count: int, form: tuple[int, ...], where: int, middle: str, end: str) -> None:
    names = [f"x{i}" for i in range(count)]
    constants: Arrays = {
        "axis": np.asarray([where]),
        "k": weights(form[1], 1, 1),
        "i": np.asarray(count - 1),
        "sizes": np.asarray([1, count - 1]),
    }
    nodes = [helper.make_node("Unsqueeze", [n, "axis"], [f"u{n}"]) for n in names]
    nodes.append(helper.make_node("Concat", [f"u{n}" for n in names], ["c"], axis=where))
    nodes += {
        "Relu": [helper.make_node("Relu", ["c"], ["m"])],
        "Mul": [helper.make_node("Mul", ["c", "k"], ["m"])],
        "none": [helper.make_node("Sigmoid", ["c"], ["m"])],
    }[middle]
    nodes += {
        "ReduceSum": [helper.make_node("ReduceSum", ["m", "axis"], ["y"], keepdims=0)],
        "ReduceMean": [helper.make_node("ReduceMean", ["m"], ["y"], axes=[where], keepdims=0)],
        "ReduceMax": [helper.make_node("ReduceMax", ["m"], ["y"], axes=[where], keepdims=0)],
        "Gather": [helper.make_node("Gather", ["m", "i"], ["y"], axis=where)],
        "Split": [
            helper.make_node("Split", ["m", "sizes"], ["p", "q"], axis=where),
            helper.make_node("Squeeze", ["p", "axis"], ["y"]),
            helper.make_node("ReduceSum", ["q", "axis"], ["z"], keepdims=0),
        ],
    }[end]
    outputs = ("y", "z") if end == "Split" else ("y",)
    if end == "Split" and count == 2:
        nodes[-1] = helper.make_node("Squeeze", ["q", "axis"], ["z"])
    result = ran("unstack", nodes, dict.fromkeys(names, form), constants, outputs)
    assert result.changes
    assert not left(result, "Unsqueeze", "Squeeze", "ReduceSum", "ReduceMean", "ReduceMax", "Gather", "Split")


@QUICK
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    data=st.data(),
    mode=st.sampled_from(("reflect", "edge")),
)
def test_pad_explicit_copies(size: tuple[int, int], data: st.DataObject, mode: str) -> None:
    most = [min(7, n - 1) if mode == "reflect" else 9 for n in size] * 2
    widths = [data.draw(st.integers(0, m)) for m in most]
    constants = {"p": np.asarray([0, 0, *widths[:2], 0, 0, *widths[2:]])}
    result = ran(
        "pad-explicit", [helper.make_node("Pad", ["x", "p"], ["y"], mode=mode)], {"x": (1, 2, *size)}, constants
    )
    assert bool(result.changes) == any(widths)


@QUICK
@given(
    form=st.tuples(st.just(1), st.integers(1, 3), st.integers(2, 40), st.integers(2, 40)),
    axis=st.sampled_from((2, 3, -1)),
    data=st.data(),
    operator=st.sampled_from(("Gather", "Slice", "Split")),
    target=st.sampled_from(("xavier-jp4", "orin-jp6")),
)
def test_slice_split_hw(form: tuple[int, ...], axis: int, data: st.DataObject, operator: str, target: str) -> None:
    size = form[axis]
    first = data.draw(st.integers(0, size - 1))
    step = data.draw(st.integers(1, 9))
    rows = list(range(first, size, step))[: data.draw(st.integers(1, 5))]
    cut = data.draw(st.integers(1, size - 1))
    constants: Arrays = {
        "rows": np.asarray([r - size if data.draw(st.booleans()) else r for r in rows]),
        "s": np.asarray([first]),
        "e": np.asarray([rows[-1] + 1]),
        "a": np.asarray([axis]),
        "sizes": np.asarray([cut, size - cut]),
    }
    nodes = {
        "Gather": [helper.make_node("Gather", ["x", "rows"], ["y"], axis=axis)],
        "Slice": [helper.make_node("Slice", ["x", "s", "e", "a"], ["y"])],
        "Split": [helper.make_node("Split", ["x", "sizes"], ["y", "z"], axis=axis)],
    }[operator]
    outputs = ("y", "z") if operator == "Split" else ("y",)
    result = ran("slice-split-hw", nodes, {"x": form}, constants, outputs, opset=13, target=target)
    whole = operator != "Split" and len(rows) == size
    if (target == "xavier-jp4" or operator == "Gather") and not whole:
        assert result.changes
        assert not left(result, "Gather", "Split")


@QUICK
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=3),
    axis=st.sampled_from((2, 3, -2)),
    kind=KINDS,
)
def test_concat_axis(sizes: list[int], axis: int, kind: int) -> None:
    names = [f"x{i}" for i in range(len(sizes))]
    forms = {n: (1, 2, 3, size) if axis == 3 else (1, 2, size, 3) for n, size in zip(names, sizes, strict=True)}
    result = ran("concat-axis", [helper.make_node("Concat", names, ["y"], axis=axis)], forms, {}, kind=kind)
    assert result.changes
    assert not left(result, "Concat")


@QUICK
@given(
    channels=st.lists(SMALL, min_size=1, max_size=3),
    uniform=st.lists(st.booleans(), min_size=1, max_size=2),
    kind=KINDS,
)
def test_concat_pairs(channels: list[int], uniform: list[bool], kind: int) -> None:
    inputs = {f"x{i}": (2, count, 3, 4) for i, count in enumerate(channels)}
    constants: Arrays = {}
    for i, same in enumerate(uniform):
        value = weights(1, 2, 1 if same else 3, 1 if same else 4, kind=kind, seed=i)
        constants[f"c{i}"] = np.broadcast_to(value, (2, 2, 3, 4)).copy()
    nodes = [helper.make_node("Concat", [*constants, *inputs], ["y"], axis=1)]
    result = ran("concat-pairs", nodes, inputs, constants, kind=kind)
    assert result.changes


@QUICK
@given(
    form=st.tuples(st.integers(1, 2), SMALL, st.integers(1, 3), st.integers(1, 3)),
    reach=st.sampled_from(("all", "channel", "place", "row")),
    branches=st.sampled_from((("x", "z"), ("x", "c"), ("c", "x"))),
    seed=st.integers(0, 99),
)
def test_where_const(form: tuple[int, ...], reach: str, branches: tuple[str, str], seed: int) -> None:
    shapes = {"all": (1,), "channel": (form[1], 1, 1), "place": form[1:], "row": (1, 1, 1, form[3])}
    mask = np.random.default_rng(seed).integers(0, 2, shapes[reach]).astype(bool)
    inputs = dict.fromkeys(set(branches) & {"x", "z"}, form)
    constants: Arrays = {"m": mask, "c": weights(1, form[1], 1, 1)}
    nodes = [helper.make_node("Where", ["m", *branches], ["w"]), helper.make_node("Sigmoid", ["w"], ["y"])]
    result = ran("where-const", nodes, inputs, constants)
    assert result.changes
    assert not left(result, "Where")


@QUICK
@given(
    form=st.tuples(st.integers(1, 2), SMALL, st.integers(1, 3), st.integers(1, 3)),
    rows=st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
    operator=st.sampled_from(("GatherElements", "ScatterElements", "add")),
)
def test_gather_and_scatter_elements(form: tuple[int, ...], rows: list[int], operator: str) -> None:
    rows = sorted({r % form[1] for r in rows})
    indices = np.broadcast_to(np.asarray(rows)[None, :, None, None], (form[0], len(rows), *form[2:])).copy()
    if operator == "GatherElements":
        nodes = [helper.make_node("GatherElements", ["x", "i"], ["y"], axis=1)]
        result = ran("gather-elements", nodes, {"x": form}, {"i": indices})
    else:
        extra = {"reduction": "add"} if operator == "add" else {}
        nodes = [helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], axis=1, **extra)]
        inputs = {"x": form, "u": tuple(indices.shape)}
        result = ran("scatter-const", nodes, inputs, {"i": indices}, opset=18)
    assert result.changes


@QUICK
@given(
    equation=st.sampled_from(
        ("bchw,oc->bohw", "bchw,co->bohw", "oc,bchw->bohw", "nchw, cd -> ndhw", "btc,cd->btd", "abcd,abcd->abcd")
    ),
    sizes=st.tuples(SMALL, SMALL, SMALL, SMALL, SMALL),
)
def test_einsum(equation: str, sizes: tuple[int, ...]) -> None:
    operands = equation.replace(" ", "").partition("->")[0].split(",")
    letters = dict(zip(sorted(set("".join(operands))), sizes, strict=False))
    shapes = [tuple(letters[letter] for letter in term) for term in operands]
    names = ["w" if len(term) == 2 else f"x{i}" for i, term in enumerate(operands)]
    inputs = {n: s for n, s in zip(names, shapes, strict=True) if n != "w"}
    constants = {n: weights(*s) for n, s in zip(names, shapes, strict=True) if n == "w"}
    result = ran("einsum", [helper.make_node("Einsum", names, ["y"], equation=equation)], inputs, constants)
    assert result.changes
    assert not left(result, "Einsum")
