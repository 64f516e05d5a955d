"""Every operator that ONNX knows has an answer, and no answer is about an operator that ONNX does not know."""

from __future__ import annotations

import numpy as np
import onnx.defs
import onnx_graphsurgeon as gs
import pytest
from target_samples import COLUMN_TARGETS, judge

from dlarewrite.target import Judge, Precision, Verdict, load_target, rulebook, support_matrix
from dlarewrite.target.facts import NodeView
from dlarewrite.target.legality import concerns
from dlarewrite.target.lowering import COMPUTED, fixed, lower, without_layer
from dlarewrite.target.samples import unary, var

SCHEMAS = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
OPSETS = (7, 9, 10, 11, 13, 18, 21, onnx.defs.onnx_opset_version())


def test_every_operator_is_lowered_and_nothing_else_is() -> None:
    known = [set(COMPUTED), set(fixed()), set(without_layer())]
    assert set().union(*known) == SCHEMAS
    assert sum(map(len, known)) == len(SCHEMAS), "an operator stands in two lists"


def test_every_operator_stands_in_a_row_or_has_no_layer() -> None:
    in_rows = {op for row in support_matrix() for op in row.ops}
    assert in_rows <= SCHEMAS
    assert SCHEMAS - in_rows == set(without_layer())


def test_every_operator_is_named_by_a_rule_and_no_rule_names_another() -> None:
    named = {op for rule in rulebook() for op in rule.ops}
    assert named <= SCHEMAS
    assert named >= SCHEMAS - {"LpPool", "GlobalLpPool"}


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (2, 16), ("n", 16, 8, 8), None, ()], ids=str)
@pytest.mark.parametrize("precision", list(Precision))
def test_no_operator_is_unknown_and_none_breaks_the_judge(shape: tuple[int, ...] | None, precision: Precision) -> None:
    for opset in OPSETS:
        for target in ("xavier-jp4", "orin-jp6", "agx-orin-jp7"):
            judge_ = Judge(load_target(target, precision), opset)
            for op in sorted(SCHEMAS):
                inputs = [var(shape, name=f"x{i}") for i in range(3)]
                made = gs.Node(op, op, _needed(op), inputs, [var(shape, name="y")])
                assert judge_.node(made).verdict is not Verdict.UNKNOWN, (op, opset)


def _needed(op: str) -> dict[str, object]:
    """Attributes without which a node is malformed."""
    if op in ("MaxPool", "AveragePool", "LpPool"):
        return {"kernel_shape": [2, 2]}
    return {"axis": -1} if op == "Concat" else {}


def test_every_layer_that_a_lowering_makes_has_a_row() -> None:
    matrix = support_matrix()
    for op in SCHEMAS:
        for opset in OPSETS:
            made = gs.Node(op, op, _needed(op), [var(name=f"x{i}") for i in range(3)], [var(name="y")])
            for layer in lower(NodeView(made, opset)):
                assert matrix.layer(layer.kind) is not None, layer.kind


def test_every_rule_of_a_layer_concerns_a_layer_that_exists() -> None:
    kinds = [kind for row in support_matrix() for kind in row.layers]
    outside = {"Plugin", "Unknown"}
    for rule in rulebook():
        for layer in rule.layer.split(", "):
            assert layer in outside or layer == "*" or any(concerns(rule, kind) for kind in kinds), rule.id


@pytest.mark.parametrize("target", COLUMN_TARGETS.values())
def test_other_domains_are_unknown_and_plugins_run_on_the_gpu(target: str) -> None:
    foreign = unary("Relu")
    foreign.domain = "com.example"
    found = judge(foreign, target)
    assert found.verdict is Verdict.UNKNOWN
    assert found.findings[0].message == "com.example::Relu has no rule"
    classical = unary("Normalizer")
    classical.domain = "ai.onnx.ml"
    assert judge(classical, target).verdict is Verdict.UNKNOWN
    plugin = judge(unary("EfficientNMS_TRT"), target)
    assert plugin.verdict is Verdict.GPU
    assert plugin.findings[0].rule == "GEN-PLUGIN"


def test_the_default_domain_has_two_spellings() -> None:
    made = unary("Relu")
    made.domain = "ai.onnx"
    assert judge(made).verdict is Verdict.DLA
    made.domain = None
    assert judge(made).verdict is Verdict.DLA


def test_integer_arithmetic_runs_on_the_gpu_unless_it_is_folded() -> None:
    a, b = var((4,), np.int64, "a"), var((4,), np.int64, "b")
    made = gs.Node("Add", "add", {}, [a, b], [var((4,), np.int64, "y")])
    assert "GEN-DTYPE" in {f.rule for f in judge(made).findings}
    shape = gs.Node("Shape", "shape", {}, [var()], [a])
    assert judge(shape).verdict is Verdict.FOLDED
    made.inputs[1] = gs.Constant("one", np.ones(4, np.int64))
    assert judge(made).verdict is Verdict.FOLDED
