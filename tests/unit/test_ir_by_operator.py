"""Model.standard finds nodes by operator, and follows every edit."""

from __future__ import annotations

from dlarewrite.ir.editor import Editor
from dlarewrite.ir.model import Model
from dlarewrite.testing import parse

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[4] x) => (float[4] y) {
  [one] a = Relu(x)
  [two] b = Neg(a)
  [three] y = Relu(b)
}
"""


def test_it_keeps_the_order_and_follows_edits() -> None:
    model = Model.load(parse(TEXT))
    edit = Editor(model)
    assert [n.name for n in model.standard("Relu")] == ["one", "three"]
    assert [n.name for n in model.standard("Neg", "Relu", "Relu")] == ["one", "two", "three"]
    assert model.standard("Conv") == []
    two = model.standard("Neg")[0]
    with edit.rewrite("test", two):
        edit.reform(two, "Abs", list(two.inputs))
        edit.op("Neg", [model.inputs[0]], hint="new")
    assert [n.name for n in model.standard("Abs")] == ["two"]
    assert [n.op for n in model.standard("Neg")] == ["Neg"]
    edit_made = model.standard("Neg")[0]
    with edit.rewrite("test"):
        edit.erase(edit_made)
    assert model.standard("Neg") == []


def test_operators_of_other_domains_are_not_among_them() -> None:
    proto = parse(TEXT)
    proto.opset_import.add(domain="com.example", version=1)
    proto.graph.node[0].domain = "com.example"
    assert [n.name for n in Model.load(proto).standard("Relu")] == ["three"]
