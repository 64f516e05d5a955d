"""What exporters write in place of an operator: pixel shuffles, sequences, branches, pads where channels come last."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.testing import Ran, run
from dlarewrite_passes.fold_pad import FoldPad
from dlarewrite_passes.inline_if import InlineIf
from dlarewrite_passes.pixel_shuffle import PixelShuffle
from dlarewrite_passes.sequences import Sequences
from dlarewrite_passes.where_relu import WhereRelu

QUICK = settings(max_examples=25, deadline=None, derandomize=True)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    constants: list[onnx.TensorProto],
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in outputs.items()],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def ops(ran: Ran) -> list[str]:
    return [n.op_type for n in ran.after.graph.node]


@QUICK
@given(
    st.permutations([1, 2, 3, 4, 5]),
    st.integers(0, 2),
    st.sampled_from(((1, 1, 2), (2, 1, 2), (1, 3, 2), (2, 2, 3))),
    st.sampled_from((9, 11, 17)),
)
def test_only_orders_of_the_operator_become_it(order: list[int], place: int, sizes: Any, opset: int) -> None:
    n, maps, block = sizes
    height, width = 2, 3
    split = [block, block]
    split.insert(place, maps)
    dims = [n, maps * block**2, height, width]
    after = [n, maps, height * block, width * block]
    nodes = [
        helper.make_node("Reshape", ["x", "a"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, *order]),
        helper.make_node("Reshape", ["t", "b"], ["y"]),
    ]
    constants = [ints("a", n, *split, height, width), ints("b", *after)]
    ran = run(PixelShuffle, model(nodes, {"x": dims}, {"y": after}, constants, opset))
    if ran.changes:
        assert ops(ran) == ["DepthToSpace"]
    # The operator's own orders: column-row-depth where the maps come first, depth-column-row where they come last.
    own = {0: [1, 4, 2, 5, 3], 2: [3, 4, 1, 5, 2]}
    if order == own.get(place) and (opset >= 11 or place == 2):
        assert ran.changes


@QUICK
@given(st.data())
def test_sequences_built_in_a_known_order(data: st.DataObject) -> None:
    opset = data.draw(st.sampled_from((11, 13, 17)), "opset")
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4), "sizes")
    axis, rank = data.draw(st.integers(-3, 2), "axis"), 3
    dims = [2, 2, 2]
    dims[axis] = sum(sizes)
    nodes = [helper.make_node("SplitToSequence", ["x", "sizes"], ["s0"], axis=axis)]
    constants, count = [ints("sizes", *sizes)], len(sizes)
    for step in range(data.draw(st.integers(0, 4), "steps")):
        inserts = count == 1 or data.draw(st.booleans(), "insert")
        kind, inputs = ("SequenceInsert", [f"s{step}", "x"]) if inserts else ("SequenceErase", [f"s{step}"])
        if data.draw(st.booleans(), "placed"):
            at = data.draw(st.integers(-count, count if inserts else count - 1), "at")
            constants.append(numpy_helper.from_array(np.array(at, dtype=np.int64), f"p{step}"))
            inputs.append(f"p{step}")
        nodes.append(helper.make_node(kind, inputs, [f"s{step + 1}"]))
        count += 1 if inserts else -1
    last = nodes[-1].output[0]
    at = data.draw(st.integers(-count, count - 1), "read")
    constants.append(numpy_helper.from_array(np.array(at, dtype=np.int64), "at"))
    nodes.append(helper.make_node("SequenceAt", [last, "at"], ["one"]))
    nodes.append(helper.make_node("ConcatFromSequence", [last], ["all"], axis=axis))
    unknown = ["?"] * rank
    made = model(nodes, {"x": dims}, {"one": unknown, "all": unknown}, constants, opset)  # type: ignore[dict-item]
    assert set(ops(run(Sequences, made))) <= {"Slice", "Concat", "Identity"}


@QUICK
@given(st.booleans(), st.booleans(), st.sampled_from((11, 13, 17)))
def test_a_known_branch_is_the_graph(condition: bool, returns_outer: bool, opset: int) -> None:
    value = helper.make_tensor_value_info
    then = [helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2.0)))]
    then.append(helper.make_node("Mul", ["r", "two"], ["t"]))
    kind, inputs = ("Identity", ["n"]) if returns_outer else ("Add", ["n", "one"])
    other = [helper.make_node(kind, inputs, ["e"])]
    one = numpy_helper.from_array(np.ones((2, 3), np.float32), "one")
    bodies = {
        "then_branch": helper.make_graph(then, "then", [], [value("t", TensorProto.FLOAT, [2, 3])]),
        "else_branch": helper.make_graph(other, "other", [], [value("e", TensorProto.FLOAT, [2, 3])], [one]),
    }
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["x"], ["n"])]
    nodes.append(helper.make_node("If", ["c"], ["y"], **bodies))
    known = numpy_helper.from_array(np.array(condition), "c")
    ran = run(InlineIf, model(nodes, {"x": [2, 3]}, {"y": [2, 3]}, [known], opset))
    found = ops(ran)
    assert "If" not in found
    assert ("Relu" in found) == condition
    assert ("Neg" in found) != condition


def test_what_bodies_read_is_free_once_the_if_is_gone_and_held_again_when_it_is_back() -> None:
    value = helper.make_tensor_value_info("o", TensorProto.FLOAT, [2])
    bodies = {
        f"{k}_branch": helper.make_graph([helper.make_node("Neg", ["r"], ["o"])], k, [], [value])
        for k in ("then", "else")
    }
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("If", ["c"], ["y"], **bodies)]
    nodes.append(helper.make_node("Abs", ["r"], ["z"]))
    known = numpy_helper.from_array(np.array(True), "c")
    work = Model.load(model(nodes, {"x": [2]}, {"z": [2]}, [known]))
    edit = Editor(work)
    relu, branch = (work.standard(op)[0] for op in ("Relu", "If"))
    assert work.is_pinned(relu.outputs[0])
    try:
        with edit.rewrite("test"):
            edit.erase(branch)
            assert not work.is_pinned(relu.outputs[0])
            raise ValueError("undone")
    except ValueError:
        assert work.is_pinned(relu.outputs[0])


@QUICK
@given(
    st.permutations([0, 1, 2, 3]),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.sampled_from(("Conv", "MaxPool", "AveragePool")),
)
def test_pad_behind_a_transpose(perm: list[int], around: list[int], op: str) -> None:
    # The Conv sees [1, 2, 5, 6]; its axis i is axis perm[i] of what is padded.
    seen, pads = [1, 2, 5, 6], [0, 0, *around[:2], 0, 0, *around[2:]]
    dims, full = [0] * 4, [0] * 8
    for place, axis in enumerate(perm):
        dims[axis] = seen[place]
        full[axis], full[axis + 4] = pads[place], pads[place + 4]
    weight = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    constants = [ints("p", *full), numpy_helper.from_array(weight, "w")]
    inner = [3 + around[0] + around[2], 4 + around[1] + around[3]]
    attrs: dict[str, Any] = {"kernel_shape": [3, 3]} | ({"count_include_pad": 1} if op == "AveragePool" else {})
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Pad", ["r", "p"], ["a"]),
        helper.make_node("Transpose", ["a"], ["t"], perm=perm),
        helper.make_node(op, ["t", "w"] if op == "Conv" else ["t"], ["y"], **attrs),
    ]
    ran = run(FoldPad, model(nodes, {"x": dims}, {"y": [1, 3 if op == "Conv" else 2, *inner]}, constants))
    assert ops(ran) == ["Relu", "Transpose", op] if any(around) else ["Relu", "Pad", "Transpose", op]


@QUICK
@given(
    st.sampled_from(("Greater", "GreaterOrEqual", "Less", "LessOrEqual")),
    st.booleans(),
    st.booleans(),
    st.lists(st.floats(-2, 2, width=16), min_size=1, max_size=3).filter(lambda s: len(s) != 2),
    st.sampled_from((np.float16, np.float32, np.float64)),
)
def test_a_choice_by_sign(asked: str, flipped: bool, exchanged: bool, slope: list[float], kind: Any) -> None:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    dims = [2, 3, 4]
    constants = [numpy_helper.from_array(np.zeros((), kind), "zero")]
    constants.append(numpy_helper.from_array(np.array(slope, kind).reshape(-1, 1), "slope"))
    sides = ["m", "x"] if exchanged else ["x", "m"]
    nodes = [
        helper.make_node(asked, ["zero", "x"] if flipped else ["x", "zero"], ["c"]),
        helper.make_node("Mul", ["x", "slope"], ["m"]),
        helper.make_node("Where", ["c", *sides], ["y"]),
    ]
    made = model(nodes, {"x": dims}, {"y": dims}, constants)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.elem_type = element
    del made.graph.value_info[:]
    ran = run(WhereRelu, onnx.shape_inference.infer_shapes(made))
    fits = (asked in ("Greater", "GreaterOrEqual")) ^ flipped ^ exchanged
    assert bool(ran.changes) == fits
