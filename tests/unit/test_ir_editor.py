"""The Editor: identity, checks, atomicity."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from dlarewrite.errors import EditError
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.ir.text import render


def model(body: str, outputs: str = "float[1,4] y") -> Model:
    text = f'<ir_version: 9, opset_import: ["": 17]> g (float[1,4] x) => ({outputs}) {{ {body} }}'
    return Model.load(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))


def test_edits_outside_a_group_are_refused() -> None:
    work = model("y = Relu(x)")
    with pytest.raises(EditError, match="belong inside"):
        Editor(work).set_attr(work.nodes[0], "alpha", 1.0)


def test_a_group_that_raises_leaves_no_trace() -> None:
    work = model("a = Relu(x) b = Sigmoid(a) y = Add(a, b)")
    before, proto = render(work), work.to_proto().SerializeToString(deterministic=True)
    edit = Editor(work)
    with pytest.raises(RuntimeError), edit.rewrite("test", work.nodes[0]):
        relu, sigmoid, add = work.nodes
        made = edit.op("Abs", [work.inputs[0]])
        edit.replace_uses(relu.outputs[0], made)
        edit.sweep([relu])
        edit.set_attr(sigmoid, "note", 3)
        edit.replace_uses(add.outputs[0], edit.op("Neg", [made]))
        edit.sweep([add])
        raise RuntimeError
    assert render(work) == before
    assert work.to_proto().SerializeToString(deterministic=True) == proto
    assert not edit.changes
    check_structure(work)


def test_a_replaced_output_keeps_name_dtype_and_shape() -> None:
    work = model("y = Relu(x)")
    edit = Editor(work)
    with edit.rewrite("test", work.nodes[0]):
        relu = work.nodes[0]
        edit.replace_uses(relu.outputs[0], edit.op("Abs", [work.inputs[0]]))
        edit.sweep([relu])
    assert [t.name for t in work.outputs] == ["y"]
    assert render(work).splitlines()[2] == "y: float32[1,4] = Abs(x)"
    assert [(c.removed[0][1], c.added[0][1]) for c in edit.changes] == [("Relu", "Abs")]


def test_an_output_replaced_by_an_input_gets_an_identity() -> None:
    work = model("y = Relu(x)")
    edit = Editor(work)
    with edit.rewrite("test", work.nodes[0]):
        relu = work.nodes[0]
        edit.replace_uses(relu.outputs[0], work.inputs[0])
        edit.sweep([relu])
    check_structure(work)
    assert [(n.op, n.outputs[0].name) for n in work.nodes] == [("Identity", "y")]


def test_a_tensor_that_is_two_outputs_twice_read() -> None:
    work = model("y = Relu(x) z = Add(y, y)", "float[1,4] y, float[1,4] z")
    edit = Editor(work)
    relu, add = work.nodes
    with edit.rewrite("test", relu):
        edit.replace_uses(relu.outputs[0], edit.op("Abs", [work.inputs[0]]))
        edit.sweep([relu])
    check_structure(work)
    assert [t.name for t in add.inputs] == ["y", "y"]


def test_another_shape_or_type_is_refused() -> None:
    work = model("y = Relu(x)")
    edit = Editor(work)
    with pytest.raises(EditError, match="change its shape"), edit.rewrite("test", work.nodes[0]):
        made = edit.op("Concat", [work.inputs[0], work.inputs[0]], {"axis": 1})
        edit.replace_uses(work.nodes[0].outputs[0], made)
    with pytest.raises(EditError, match="change its type"), edit.rewrite("test", work.nodes[0]):
        made = edit.op("Cast", [work.inputs[0]], {"to": 10})
        edit.replace_uses(work.nodes[0].outputs[0], made)


def test_inputs_that_the_operator_does_not_take_are_refused_at_once() -> None:
    work = model("y = Relu(x)")
    edit = Editor(work)
    with pytest.raises(EditError, match="Conv does not take these inputs"), edit.rewrite("test"):
        edit.op("Conv", [work.inputs[0], edit.constant(np.ones((2, 3, 1, 1), np.float32))])
    check_structure(work)


def test_twins_are_told_apart_by_identity() -> None:
    work = model("a = Relu(x) b = Relu(x) y = Add(a, b)")
    for node in work.nodes:
        node.name = "same"
    first, second, add = work.nodes
    edit = Editor(work)
    with edit.rewrite("test", second):
        edit.replace_uses(second.outputs[0], edit.op("Abs", [work.inputs[0]]))
        edit.sweep([second])
    assert first in work
    assert second not in work
    assert add.inputs[0].inputs[0] is first
    check_structure(work)


def test_new_nodes_stand_where_their_anchor_stood() -> None:
    work = model("a = Relu(x) b = Sigmoid(a) c = Tanh(x) y = Add(b, c)")
    anchor = work.nodes[0]
    edit = Editor(work)
    with edit.rewrite("test", anchor):
        edit.replace_uses(anchor.outputs[0], edit.op("Neg", [edit.op("Abs", [work.inputs[0]])]))
        edit.sweep([anchor])
    assert [n.op for n in work.nodes] == ["Abs", "Neg", "Sigmoid", "Tanh", "Add"]


def chain(length: int) -> Model:
    names = ["x", *(f"t{i}" for i in range(length - 1)), "y"]
    nodes = [
        onnx.helper.make_node("Relu" if i % 2 else "Sigmoid", [names[i]], [names[i + 1]], name=f"n{i}")
        for i in range(length)
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes[::-1], "g", [value("x", 1, [1, 4])], [value("y", 1, [1, 4])])
    return Model.load(onnx.helper.make_model(graph))


def test_a_reversed_chain_is_sorted_without_recursion() -> None:
    work = chain(5000)
    assert [n.name for n in work.nodes] == [f"n{i}" for i in range(5000)]


def test_thousands_of_edits_keep_the_order() -> None:
    work = chain(2000)
    edit = Editor(work)
    for node in work.nodes:
        with edit.rewrite("test", node):
            edit.replace_uses(node.outputs[0], edit.op("Abs", [node.inputs[0]]))
            edit.sweep([node])
    check_structure(work)
    assert len(edit.changes) == 2000
    assert [n.name for n in work.nodes] == [f"n{i}/Abs" for i in range(2000)]
