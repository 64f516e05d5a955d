"""What changed between two models: matching, categories, and the pass that did it."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from dlarewrite.compiler import optimize
from dlarewrite.difference import Difference, NodeChange, compare
from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.ir.provenance import Origin, read, read_removed
from dlarewrite.testing import parse

sys.path.append(str(Path(__file__).parents[2]))
BUILDERS = import_module("models").BUILDERS

TEXT = """
<ir_version: IR, opset_import: ["" : 17]>
g (float[1,8,8,8] x) => (float[1,8,8,8] y) <float[8,8,3,3] w> {
  [first] a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)
  [act] b = HardSigmoid<alpha=0.2, beta=0.5>(a)
  [drop] c = Identity(b)
  [last] y = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(c, w)
}
"""


def made(text: str = TEXT, ir: int = 8) -> onnx.ModelProto:
    return parse(text.replace("IR", str(ir)))


def between(before: onnx.ModelProto, after: onnx.ModelProto) -> Difference:
    return compare(Model.load(before), Model.load(after))


def rows(found: Difference) -> list[tuple[str, str, str]]:
    return [(c.kind, c.op, c.name) for c in found.changes]


def copied(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy


def test_a_model_equals_itself() -> None:
    found = between(made(), made())
    assert found.equal and found.kept == 4 and not found.changes
    assert found.to_dict()["equal"] is True


def test_every_kind_of_node_change_is_told() -> None:
    before = made()
    cases = {
        "alpha: 0.2 -> 0.25": lambda g: setattr(g.node[1].attribute[0], "f", 0.25),
        "input 0: c -> b": lambda g: g.node[3].input.__setitem__(0, "b"),
        "operator HardSigmoid -> Sigmoid": lambda g: (
            setattr(g.node[1], "op_type", "Sigmoid"),
            g.node[1].ClearField("attribute"),
        ),
    }
    for line, change in cases.items():
        after = copied(before)
        change(after.graph)
        found = between(before, after)
        assert any(line in c.details for c in found.changes), (line, found.changes)
        assert not found.equal and found.kept == 3


def test_weights_are_compared_bit_for_bit_however_they_are_stored() -> None:
    before, stored, changed = made(), made(), made()
    weights = onnx.numpy_helper.to_array(before.graph.initializer[0]).copy()
    tensor = stored.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend(weights.reshape(-1))
    assert between(before, stored).equal
    weights[0, 0, 0, 0] = np.nextafter(weights[0, 0, 0, 0], np.float32(10))
    changed.graph.initializer[0].raw_data = weights.tobytes()
    found = between(before, changed)
    assert rows(found) == [("changed", "Conv", "first"), ("changed", "Conv", "last")]
    (line,) = found.changes[0].details
    old, new = line.removeprefix("input 1: ").split(" -> ")
    assert old.startswith("float32[8,8,3,3] #") and new.startswith("float32[8,8,3,3] #") and old != new


def test_a_constant_node_and_an_initializer_hold_the_same() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) {
      [two] k = Constant<value = float {2.0}>()
      [mul] y = Mul(x, k)
    }"""
    before = parse(text)
    after = copied(before)
    after.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), "other"))
    del after.graph.node[0]
    after.graph.node[0].input[1] = "other"
    found = between(before, after)
    assert rows(found) == [("removed", "Constant", "two")] and found.kept == 1


def test_renaming_everything_inside_is_no_other_graph() -> None:
    before, after = made(), made()
    for number, node in enumerate(after.graph.node):
        node.name = f"n{number}"
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = name if name in ("x", "y", "w") else f"renamed_{name}"
    del after.graph.value_info[:]
    found = between(before, after)
    assert found.counts == {"removed": 0, "added": 0, "changed": 0, "renamed": 4, "moved": 0}
    assert found.changes[1].details == ("name: act -> n1", "output 0: b -> renamed_b")


def test_another_order_moves_as_few_nodes_as_possible() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] a, float[4] b, float[4] c) {
      [one] a = Relu(x)
      [two] b = Abs(x)
      [three] c = Neg(x)
    }"""
    before, after = parse(text), parse(text)
    nodes = [after.graph.node[i] for i in (2, 0, 1)]
    kept = [n.SerializeToString() for n in nodes]
    del after.graph.node[:]
    after.graph.node.extend(onnx.NodeProto.FromString(n) for n in kept)
    found = between(before, after)
    assert rows(found) == [("moved", "Neg", "three")] and found.kept == 2 and not found.equal


def test_interface_and_opset_are_told_and_known_shapes_are_not_a_change() -> None:
    before, after = made(), made()
    del before.graph.value_info[:]
    found = between(before, after)
    assert found.equal and found.described == 3
    after.opset_import[0].version = 18
    after.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    found = between(before, after)
    assert found.interface == (
        "opset ai.onnx: 17 -> 18",
        "input 0: x float32[1,8,8,8] -> x float32[2,8,8,8]",
    )
    assert not found.equal


def test_twins_with_one_name_are_not_matched_by_it() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) {
      [same] a = Relu(x)
      [same] y = Neg(a)
    }"""
    after = parse(text.replace("a = Relu(x)", "b = Abs(x)").replace("Neg(a)", "Neg(b)"))
    found = between(parse(text), after)
    assert rows(found) == [("removed", "Relu", "same"), ("added", "Abs", "same"), ("changed", "Neg", "same")]


@pytest.mark.parametrize("ir", [7, 8, 9, 10])
def test_the_pass_is_written_into_the_model_and_grouped_by(ir: int, tmp_path: Path) -> None:
    before = made(ir=ir)
    result = optimize(before, verify="off")
    result.save(tmp_path / "out.onnx")
    after = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(after, full_check=True)
    ort.InferenceSession(after.SerializeToString(), providers=["CPUExecutionProvider"])
    assert after.ir_version == ir
    fresh = [n for n in after.graph.node if n.name.startswith("act/")]
    assert fresh and all(read(n) == Origin(("hard-sigmoid",), "act") for n in fresh)
    # The field is as old as IR version 10; older models carry the note where they may.
    assert all(bool(n.metadata_props) == (ir >= 10) for n in fresh)
    assert read_removed(after)["drop"] == "drop-noops"
    by_pass = between(before, after).by_pass
    assert [(c.kind, c.name) for c in by_pass["hard-sigmoid"] if c.kind == "removed"] == [("removed", "act")]
    assert {c.name for c in by_pass["hard-sigmoid"] if c.kind == "added"} == {n.name for n in fresh}
    assert ("removed", "drop") in [(c.kind, c.name) for c in by_pass["drop-noops"]]
    assert "" not in by_pass


def test_a_second_run_keeps_what_the_first_one_noted() -> None:
    before = made()
    once = optimize(before, verify="off").model
    twice = optimize(once, verify="off").model
    assert between(once, twice).equal
    assert between(before, twice) == between(before, once)


def test_what_is_undone_leaves_no_note() -> None:
    model = Model.load(made())
    edit = Editor(model)
    with pytest.raises(RuntimeError), edit.rewrite("broken", model.nodes[1]):
        edit.set_attr(model.nodes[1], "alpha", 0.5)
        edit.op("Relu", [model.inputs[0]])
        raise RuntimeError
    assert not model.envelope.provenance and not model.envelope.removed
    assert compare(Model.load(made()), model).equal


def test_an_attribute_set_in_place_is_its_pass_s_and_user_notes_stay() -> None:
    proto = made()
    proto.graph.node[1].doc_string = "mine"
    proto.metadata_props.add(key="dlarewrite.removed", value="not ours")
    model = Model.load(proto)
    edit = Editor(model)
    with edit.rewrite("tune", model.nodes[1]):
        edit.set_attr(model.nodes[1], "alpha", 0.5)
    after = model.to_proto()
    assert after.graph.node[1].doc_string == "mine\ndlarewrite.pass: tune\ndlarewrite.from: act"
    assert read_removed(after) == {}
    found = between(proto, after)
    assert found.changes == (NodeChange("changed", "HardSigmoid", "act", "tune", "act", ("alpha: 0.2 -> 0.5",)),)


def test_subgraph_bodies_are_compared() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (bool c, float[4] x) => (float[4] y) {
      [pick] y = If (c) <then_branch = t () => (float[4] a) { a = Relu(x) },
                         else_branch = e () => (float[4] b) { b = BODY(x) }>
    }"""
    one, other = (onnx.parser.parse_model(text.replace("BODY", op)) for op in ("Neg", "Abs"))
    assert between(one, one).equal
    (change,) = between(one, other).changes
    assert change.kind == "changed" and change.details[0].startswith("else_branch: ")


def test_twenty_thousand_nodes_take_seconds() -> None:
    before = Model.load(BUILDERS["chain"](nodes=20_000))
    after = Model.load(BUILDERS["chain"](nodes=20_000, seed=1))
    start = time.process_time()
    found = compare(before, after)
    assert time.process_time() - start < 10
    assert len(found.changes) + found.kept >= 20_000
