"""A copied model: the same bytes, other objects, and a run that goes on from a copy ends where the whole run does."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper, parser

from dlarewrite.ir.copying import duplicate
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model

BODIES = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4] x, bool c) => (float[1,4] y, float[1,4] z)
<float[1,4] w = {1.0, 2.0, 3.0, 4.0}>
{
    a = Add(x, w)
    b = Mul(a, a)
    y = If (c) <
        then_branch = t () => (float[1,4] p) { p = Mul(a, w) },
        else_branch = e () => (float[1,4] q) { q = Neg(b) }
    >
    z = Relu(b)
}
"""


def test_the_copy_writes_the_same_bytes() -> None:
    model = Model.load(parser.parse_model(BODIES))
    made, nodes = duplicate(model)
    assert made.to_proto().SerializeToString(deterministic=True) == model.to_proto().SerializeToString(
        deterministic=True
    )
    assert [nodes[id(n)] is m for n, m in zip(model.nodes, made.nodes, strict=True)] == [True] * len(model)
    assert not {id(n) for n in model.nodes} & {id(n) for n in made.nodes}


def test_readers_keep_their_order_and_weights_are_shared() -> None:
    model = Model.load(parser.parse_model(BODIES))
    made, nodes = duplicate(model)
    for old, new in zip(model.nodes, made.nodes, strict=True):
        for before, after in zip([*old.inputs, *old.outputs], [*new.inputs, *new.outputs], strict=True):
            assert before is not after
            assert [nodes[id(r)] is s for r, s in zip(before.outputs, after.outputs, strict=True)].count(False) == 0
            if isinstance(before, gs.Constant):
                assert after._values is before._values


def test_edits_on_the_copy_leave_the_original_alone() -> None:
    model = Model.load(parser.parse_model(BODIES))
    before = model.to_proto().SerializeToString(deterministic=True)
    made, _ = duplicate(model)
    edit = Editor(made)
    with edit.rewrite("test"):
        relu = next(n for n in made.nodes if n.op == "Relu")
        edit.replace_uses(relu.outputs[0], edit.op("Abs", [relu.inputs[0]]))
        edit.sweep([relu])
    assert "Abs" in {n.op for n in made.nodes}
    assert model.to_proto().SerializeToString(deterministic=True) == before
    captured = next(n for n in made.nodes if n.op == "If")
    assert {t.name for t in made.envelope.captures(captured)} == {"a", "b", "w"}


def test_a_tensor_read_twice_by_one_node_stays_so() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], np.ones(2, np.float32))
    graph = helper.make_graph(
        [helper.make_node("Add", ["w", "w"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])],
        "g",
        [x],
        [y],
        [weight],
    )
    made, _ = duplicate(Model.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    add = made.nodes[0]
    assert add.inputs[0] is add.inputs[1]
    assert len(add.inputs[0].outputs) == 2
    onnx.checker.check_model(made.to_proto())
